import { isSessionError } from "@sojourn/core";
import { describe, expect, test } from "vitest";
import { MemcachedStore, type MemcachedStoreOptions } from "../src/index.js";
import { parseUrl, resolveOptions } from "../src/options.js";
import { openClient } from "../src/own-client.js";
import { clientOf } from "./harness.js";

const client = clientOf("memcached://127.0.0.1:1");

describe("options", () => {
  test("have defaults, and are not changed", () => {
    const options = Object.freeze({ client });
    expect(resolveOptions(options)).toEqual({
      client,
      namespace: "sojourn",
      timeoutMs: 2_000,
      maxItemBytes: 1_048_576,
      maxSessionsPerUser: 1_000,
    });
    expect(new MemcachedStore(options).capabilities.maxPayloadBytes).toBe(1_044_480);
  });

  const refused: readonly [string, unknown, string][] = [
    ["no options", undefined, "options"],
    ["an unknown option", { client, prefix: "a" }, 'unknown option "prefix"'],
    ["no client", {}, '"client"'],
    ["another client", { client: { get() {} } }, '"client"'],
    ["a client without servers", { client: { ...client, servers: [] } }, '"client"'],
    ["an empty namespace", { client, namespace: "" }, '"namespace"'],
    ["a namespace with NUL", { client, namespace: "a\0" }, '"namespace"'],
    ["a namespace of 513 bytes", { client, namespace: "a".repeat(513) }, '"namespace"'],
    ["no time", { client, timeoutMs: 0 }, '"timeoutMs"'],
    ["a time beyond the range of timers", { client, timeoutMs: 2 ** 31 }, '"timeoutMs"'],
    ["a time as text", { client, timeoutMs: "2s" }, '"timeoutMs"'],
    ["NaN bytes", { client, maxItemBytes: Number.NaN }, '"maxItemBytes"'],
    ["items too small for a session", { client, maxItemBytes: 4_096 }, '"maxItemBytes"'],
    ["no sessions", { client, maxSessionsPerUser: 0 }, '"maxSessionsPerUser"'],
  ];
  test.each(refused)("%s is refused", (_, options, named) => {
    // A caller without types may hand over anything.
    expect(() => new MemcachedStore(options as MemcachedStoreOptions)).toThrow(named);
  });

  test("a client with failover is refused: it would bring old items back", () => {
    const failing = clientOf("memcached://127.0.0.1:1");
    Object.assign(failing.options, { failover: true });
    expect(() => new MemcachedStore({ client: failing })).toThrow("failover");
  });
});

describe("fromUrl", () => {
  const url = "memcached://127.0.0.1:1";

  test.each([
    [null, 'option "options" must be an object, received null'],
    [{ client }, 'unknown option "client"; the options are namespace, '],
    [{ driverOptions: true }, 'option "driverOptions" must be an object'],
    [{ driverOptions: { failover: true } }, 'unknown option "failover"; the options are keepAlive, '],
  ])("refuses options %#", (options, message) => {
    const open = (): unknown => MemcachedStore.fromUrl(url, options as never);
    expect(open).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    expect(open).toThrow(message);
  });

  test("hands options of the driver to its connections", () => {
    const opened = openClient(url, { timeoutMs: 500, driverOptions: { keepAliveDelay: 5, conntimeout: 1 } });
    expect(opened.servers).toMatchObject([
      { options: { timeout: 0.5, conntimeout: 1, keepAlive: true, keepAliveDelay: 5 } },
    ]);
  });
});

describe("a URL", () => {
  test("names one server or several, and who logs in", () => {
    expect(parseUrl("memcached://10.0.0.1")).toEqual({
      servers: [{ host: "10.0.0.1", port: 11_211 }],
      username: undefined,
      password: undefined,
    });
    expect(parseUrl("memcached://a:1,b:2,[::1]:3/").servers).toEqual([
      { host: "a", port: 1 },
      { host: "b", port: 2 },
      { host: "::1", port: 3 },
    ]);
    expect(parseUrl("memcached://me:p%40ss:w@a:1")).toEqual({
      servers: [{ host: "a", port: 1 }],
      username: "me",
      password: "p@ss:w",
    });
  });

  test.each(["", "redis://a:1", "memcached://", "memcached://a:port", "memcached://a:1/0", "memcached://a:1,,b"])(
    "%j is refused, and not shown",
    (url) => {
      const read = (): unknown => MemcachedStore.fromUrl(url);
      expect(read).toThrow('option "url" must be');
      try {
        read();
      } catch (error) {
        expect(isSessionError(error, "INVALID_OPTION")).toBe(true);
        expect(String(error)).not.toContain("received");
      }
    },
  );
});
