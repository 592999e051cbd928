import { isSessionError } from "@sojourn/core";
import { describe, expect, it } from "vitest";
import { classify } from "../src/errors.js";

const reply = (message: string): Error => Object.assign(new Error(message), { name: "ReplyError" });
const driver = (message: string, name = "Error"): Error => Object.assign(new Error(message), { name });

const write = { operation: "update", writes: true, failsOver: false };

describe("classify", () => {
  it.each([
    [reply("LOADING Redis is loading the dataset in memory"), "UNAVAILABLE", false],
    [reply("CLUSTERDOWN The cluster is down"), "UNAVAILABLE", false],
    [reply("TRYAGAIN Multiple keys request during rehashing of slot"), "UNAVAILABLE", false],
    [reply("MASTERDOWN Link with MASTER is down"), "UNAVAILABLE", false],
    [reply("BUSY Redis is busy running a script"), "UNAVAILABLE", false],
    [reply("OOM command not allowed when used memory > 'maxmemory'."), "UNAVAILABLE", false],
    [reply("MISCONF Redis is configured to save RDB snapshots"), "UNAVAILABLE", false],
    [reply("NOREPLICAS Not enough good replicas to write."), "UNAVAILABLE", false],
    [reply("ERR max number of clients reached"), "UNAVAILABLE", false],
    [reply("READONLY You can't write against a read only replica."), "BACKEND", false],
    [reply("NOAUTH Authentication required."), "BACKEND", false],
    [reply("WRONGPASS invalid username-password pair or user is disabled."), "BACKEND", false],
    [reply("NOPERM this user has no permissions to run the 'evalsha' command"), "BACKEND", false],
    [reply("MOVED 3999 127.0.0.1:6381"), "BACKEND", false],
    [reply("CROSSSLOT Keys in request don't hash to the same slot"), "BACKEND", false],
    [reply("ERR unknown command"), "BACKEND", false],
    [reply("WRONGTYPE Operation against a key holding the wrong kind of value"), "CORRUPT", false],
    [driver("Command timed out"), "TIMEOUT", true],
    [driver("connect ECONNREFUSED 127.0.0.1:6379"), "UNAVAILABLE", false],
    [driver("getaddrinfo ENOTFOUND redis"), "UNAVAILABLE", false],
    [driver("Stream isn't writeable and enableOfflineQueue options is false"), "UNAVAILABLE", false],
    [driver("Failed to refresh slots cache.", "ClusterAllFailedError"), "UNAVAILABLE", false],
    [driver("read ECONNRESET"), "UNAVAILABLE", true],
    [driver("Connection is closed."), "UNAVAILABLE", true],
    [driver("Reached the max retries per request limit", "MaxRetriesPerRequestError"), "UNAVAILABLE", true],
    [driver("Command aborted due to connection close", "AbortError"), "UNAVAILABLE", true],
    ["not even an error", "UNAVAILABLE", true],
    // As node-redis hands out what the server answered, and its own.
    [driver("OOM command not allowed when used memory > 'maxmemory'."), "UNAVAILABLE", false],
    [driver("NOPERM this user has no permissions to run the 'evalsha' command"), "BACKEND", false],
    [driver("WRONGTYPE Operation against a key holding the wrong kind of value"), "CORRUPT", false],
    [driver("The client is closed"), "UNAVAILABLE", false],
    [driver("The client is offline"), "UNAVAILABLE", false],
    [driver("The command was aborted"), "UNAVAILABLE", false],
    [driver("The queue is full"), "UNAVAILABLE", false],
    [driver("Socket closed unexpectedly"), "UNAVAILABLE", true],
    [driver("Disconnects client"), "UNAVAILABLE", true],
    [Object.assign(driver("EPROTO of a system that shouts"), { code: "EPROTO" }), "UNAVAILABLE", true],
  ] as const)("%s is %s, outcome unknown: %s", (error, code, outcomeUnknown) => {
    const classified = classify(error, write);
    expect(isSessionError(classified, code)).toBe(true);
    expect(classified.outcomeUnknown).toBe(outcomeUnknown);
    expect(classified.cause).toBe(error);
    expect(classified.message).toMatch(/^@sojourn\/redis: update: /);
  });

  it("knows the outcome of what only reads", () => {
    const read = { operation: "get", writes: false, failsOver: false };
    expect(classify(driver("read ECONNRESET"), read).outcomeUnknown).toBe(false);
    expect(classify(driver("Command timed out"), read).outcomeUnknown).toBe(false);
  });

  it("takes a replica for a moment's state where the client follows the master", () => {
    const error = reply("READONLY You can't write against a read only replica.");
    expect(classify(error, { ...write, failsOver: true }).code).toBe("UNAVAILABLE");
  });

  it("shows nothing of what the server quotes", () => {
    const quoting = reply("ERR unknown command 'x', with args beginning with: 's3cret'");
    expect(classify(quoting, write).message).not.toContain("s3cret");
  });
});
