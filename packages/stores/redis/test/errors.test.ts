import { isSessionError } from "@sojourn/core";
import { describe, expect, it } from "vitest";
import { classify } from "../src/errors.js";

const reply = (message: string): Error => Object.assign(new Error(message), { name: "ReplyError" });
const driver = (message: string, name = "Error"): Error => Object.assign(new Error(message), { name });

const write = { operation: "update", sent: true };

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
    [reply("READONLY You can't write against a read only replica."), "UNAVAILABLE", false],
    [reply("NOAUTH Authentication required."), "BACKEND", false],
    [reply("WRONGPASS invalid username-password pair or user is disabled."), "BACKEND", false],
    [reply("NOPERM this user has no permissions to run the 'evalsha' command"), "BACKEND", false],
    [reply("MOVED 3999 127.0.0.1:6381"), "BACKEND", false],
    [reply("CROSSSLOT Keys in request don't hash to the same slot"), "BACKEND", false],
    [reply("ERR unknown command"), "BACKEND", false],
    [reply("WRONGTYPE Operation against a key holding the wrong kind of value"), "CORRUPT", false],
    [driver("Command timed out"), "TIMEOUT", true],
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

  it("knows the outcome where nothing was sent", () => {
    const unsent = { operation: "create", sent: false };
    expect(classify(driver("read ECONNRESET"), unsent).outcomeUnknown).toBe(false);
    expect(classify(driver("Command timed out"), unsent).outcomeUnknown).toBe(false);
  });

  it.each([
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "BACKEND"],
    ["SELF_SIGNED_CERT_IN_CHAIN", "BACKEND"],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "BACKEND"],
    ["CERT_HAS_EXPIRED", "BACKEND"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "BACKEND"],
    ["ECONNREFUSED", "UNAVAILABLE"],
    ["ENOTFOUND", "UNAVAILABLE"],
    ["EPROTO", "UNAVAILABLE"],
  ])("names %s, which is %s", (code, expected) => {
    const classified = classify(Object.assign(driver("the driver's words"), { code }), {
      operation: "get",
      sent: false,
    });
    expect(classified.code).toBe(expected);
    expect(classified.message).toContain(code);
  });

  it.each([
    ["OOM command not allowed when used memory > 'maxmemory'.", "UNAVAILABLE"],
    ["-READONLY You can't write against a read only replica.", "UNAVAILABLE"],
    ["-NOREPLICAS Not enough good replicas to write.", "UNAVAILABLE"],
    ["-MISCONF Redis is configured to save RDB snapshots", "UNAVAILABLE"],
    ["WRONGTYPE Operation against a key holding the wrong kind of value", "CORRUPT"],
  ])("unwraps %s, as servers before version 7 wrap it", (inner, expected) => {
    const wrapped = `ERR Error running script (call to f_0123abcd): @user_script:12: ${inner} `;
    expect(classify(reply(wrapped), write).code).toBe(expected);
    expect(classify(reply(wrapped.replace(": -", ": @user_script: 12: -")), write).code).toBe(expected);
    expect(classify(driver(wrapped), write).code).toBe(expected);
    expect(classify(driver(`@user_script: 12: ${inner}`), write).code).toBe(expected);
  });

  it.each([
    ["NOPERM this user has no permissions to run the 'evalsha' command", "the command EVALSHA"],
    ["NOPERM User shop has no permissions to run the 'config|get' command", "the command CONFIG|GET"],
    ["NOPERM this user has no permissions to access one of the keys used as arguments", "the keys of the prefix"],
  ])("names the permission that is missing: %s", (message, named) => {
    expect(classify(reply(message), write).message).toContain(named);
  });

  it("shows nothing of what the server quotes", () => {
    const quoting = reply("ERR unknown command 'x', with args beginning with: 's3cret'");
    expect(classify(quoting, write).message).not.toContain("s3cret");
  });
});
