import { Cluster, Redis } from "ioredis";
import { createClient, createClientPool, createCluster, createSentinel } from "redis";
import { createClient as createClient5, createCluster as createCluster5 } from "redis5";
import { describe, expect, it } from "vitest";
import { RedisStore, type RedisStoreOptions } from "../src/index.js";
import { keyspace } from "../src/keys.js";
import { resolveOptions } from "../src/options.js";

const client = new Redis({ lazyConnect: true });

describe("options", () => {
  it("have defaults, and are not changed", () => {
    const options = Object.freeze({ client });
    const defaults = { duplicate: true, prefix: "sojourn", timeoutMs: 2_000, singleSlot: false, announce: false };
    expect(resolveOptions(options)).toEqual({ client, ...defaults });
  });

  it.each<[string, object]>([
    ["client", {}],
    ["client", { client: "redis://localhost" }],
    ["client", { client: new Redis({ lazyConnect: true, keyPrefix: "x:" }) }],
    ["client", { client: new Cluster([], { lazyConnect: true, redisOptions: { keyPrefix: "x:" } }) }],
    ["client", { client: new Cluster([], { lazyConnect: true, scaleReads: "slave" }) }],
    ["client", { client: createCluster({ rootNodes: [] }) }],
    ["client", { client: createCluster5({ rootNodes: [] }) }],
    ["client", { client: createSentinel({ name: "mymaster", sentinelRootNodes: [] }) }],
    ["client", { client: createClientPool() }],
    ["client", { client: createClient({ keyPrefix: "x:" }) }],
    ["client", { client: { sendCommand: () => {}, isReady: true, isPubSubActive: false } }],
    ["prefix", { client, prefix: "" }],
    ["prefix", { client, prefix: "x".repeat(513) }],
    ["prefix", { client, prefix: "nul\0" }],
    ["prefix", { client, prefix: 7 }],
    ["prefix", { client, prefix: "no tag", singleSlot: true }],
    ["prefix", { client, prefix: "{}empty", singleSlot: true }],
    ["timeoutMs", { client, timeoutMs: 0 }],
    ["timeoutMs", { client, timeoutMs: 1.5 }],
    ["timeoutMs", { client, timeoutMs: 2 ** 31 }],
    ["singleSlot", { client, singleSlot: "yes" }],
    ["duplicate", { client, duplicate: "no" }],
    ["client", { client: new Redis({ lazyConnect: true, sentinels: [{}], name: "m", role: "slave" }) }],
    ["client", { client: { callBuffer: async () => {} } }],
    ["ttl", { client, ttl: 60 }],
  ])("%s is refused: %o", (option, options) => {
    // What a caller without types may pass.
    const open = () => new RedisStore(options as RedisStoreOptions);
    expect(open).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    expect(open).toThrow(`option "${option}"`);
  });

  it.each<[string, object]>([
    ["autoResendUnfulfilledCommands", new Redis({ lazyConnect: true })],
    ["retryDelayOnFailover", new Cluster([], { lazyConnect: true })],
    ["disableOfflineQueue", createClient()],
  ])("refuse a client by its unsafe %s when it is used as it is", (setting, unsafe) => {
    // Each is a client, and the option takes no other.
    const open = () => new RedisStore({ client: unsafe as Redis, duplicate: false });
    expect(open).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    expect(open).toThrow(setting);
  });

  it("take a client as it is when its settings are safe", () => {
    const safe = [
      new Redis({ lazyConnect: true, autoResendUnfulfilledCommands: false }),
      new Cluster([], { lazyConnect: true, retryDelayOnFailover: 0 }),
      createClient({ disableOfflineQueue: true }),
    ];
    for (const each of safe) expect(() => new RedisStore({ client: each, duplicate: false })).not.toThrow();
  });

  it("take any prefix, and send nothing", () => {
    const store = new RedisStore({ client, prefix: 'a:*[?]"\\ 😀' });
    expect(store.capabilities).toMatchObject({ userIndex: "atomic", limit: "atomic", clock: "server" });
    expect(client.status).toBe("wait");
  });

  it("take a client of node-redis that has not connected yet, and connect nothing", () => {
    const [five, six] = [createClient5(), createClient()];
    for (const store of [new RedisStore({ client: five }), new RedisStore({ client: six })]) {
      expect(store.capabilities.userIndex).toBe("atomic");
    }
    expect([five.isOpen, six.isOpen]).toEqual([false, false]);
  });
});

describe("keys", () => {
  const prefixes = ["a", "a#", "a##", "a#s", "a#s:", "a##s:", "#", "##", "#s:", "a#u:x", "a#s:a#s:"];

  it("of one namespace are never those of another, whatever the ids", () => {
    const ids = ["", "x", "#", "#s:", "s:", "a#s:", "#s:x"];
    const seen = new Map<string, string>();
    for (const prefix of prefixes) {
      const { sessionPrefix, userPrefix } = keyspace(prefix);
      for (const id of ids) {
        for (const key of [sessionPrefix + id, userPrefix + id]) {
          expect(seen.get(key), `${key} of ${prefix} and ${seen.get(key)}`).toBeUndefined();
          seen.set(key, prefix);
        }
      }
    }
  });

  it("of one namespace never begin as those of another do", () => {
    for (const one of prefixes) {
      for (const other of prefixes) {
        if (one === other) continue;
        expect(keyspace(one).sessionPrefix.startsWith(keyspace(other).sessionPrefix), `${one}, ${other}`).toBe(false);
        expect(keyspace(one).sessionPrefix.startsWith(keyspace(other).userPrefix), `${one}, ${other}`).toBe(false);
      }
    }
  });
});
