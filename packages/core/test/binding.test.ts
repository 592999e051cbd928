import { describe, expect, test } from "vitest";
import type { BindingOptions, SecurityEvent, SessionManagerOptions } from "../src/index.js";
import { minute, setUp } from "./support.js";

const home = { ip: "192.0.2.7", userAgent: "Firefox" };

function bound(binding: BindingOptions | undefined, options: Partial<SessionManagerOptions> = {}) {
  const fixture = setUp({ binding, ...options });
  const events: SecurityEvent[] = [];
  fixture.manager.on("security", (event) => events.push(event));
  return { ...fixture, events };
}

describe("the address", () => {
  test.each([
    ["192.0.2.7", "192.0.2.200", true],
    ["192.0.2.7", "192.0.3.7", false],
    ["192.0.2.7", "::ffff:192.0.2.9", true],
    ["::ffff:c000:0207", "192.0.2.9", true],
    ["2001:db8:1:200::1", "2001:DB8:1:2ff:abcd::9", true],
    ["2001:db8:1:200::1", "2001:db8:1:300::1", false],
    ["fe80::1%eth0", "fe80::2%eth1", true],
    ["192.0.2.7", "2001:db8::1", false],
    ["192.0.2.7", undefined, false],
    ["192.0.2.7", "unknown", false],
    ["192.0.2.7", "0xc0000207", false],
    ["192.0.2.7", "192.0.2.7:443", false],
    [undefined, "192.0.2.7", false],
  ])("bound for %s admits %s: %s", async (created, presented, isAdmitted) => {
    const { manager } = bound({ address: true, onMismatch: "reject" });
    const { token } = await manager.create({ data: {}, client: { ip: created } });
    expect((await manager.get(token, { client: { ip: presented } })) !== undefined).toBe(isAdmitted);
  });

  test("is compared by the prefixes that the session was bound with", async () => {
    const narrow = bound({ address: { ipv4Prefix: 32, ipv6Prefix: 128 }, onMismatch: "reject" });
    const { token } = await narrow.manager.create({ data: {}, client: home });
    expect(await narrow.manager.get(token, { client: { ip: "192.0.2.8" } })).toBeUndefined();
    const { manager } = bound({ address: { ipv4Prefix: 8 }, onMismatch: "reject" }, { store: narrow.store });
    expect(await manager.get(token, { client: { ip: "192.0.2.8" } })).toBeUndefined();
    expect(await manager.get(token, { client: home })).toBeDefined();
    await manager.regenerate(token, { client: home });
  });
});

describe("the user agent", () => {
  test("must be the same; a missing one counts as different", async () => {
    const { manager } = bound({ userAgent: true, onMismatch: "reject" });
    const { token } = await manager.create({ data: {}, client: home });
    expect(await manager.get(token, { client: { ip: "203.0.113.1", userAgent: "Firefox" } })).toBeDefined();
    expect(await manager.get(token, { client: { ip: home.ip, userAgent: "curl" } })).toBeUndefined();
    expect(await manager.get(token, { client: { ip: home.ip } })).toBeUndefined();
  });
});

describe("a mismatch", () => {
  const thief = { ip: "203.0.113.1", userAgent: "curl" };
  const binding = { userAgent: true, address: true } as const;

  test("is reported, once for each session in an interval, and admitted by this policy", async () => {
    const { manager, events, clock } = bound({ ...binding, onMismatch: "report" });
    const { token, session } = await manager.create({ userId: "42", data: { n: 1 }, client: home });
    for (let n = 0; n < 3; n++) expect((await manager.get(token, { client: thief }))?.data).toEqual({ n: 1 });
    const event = { kind: "bindingMismatch", id: session.id, userId: "42", source: thief.ip };
    expect(events).toEqual([{ ...event, count: 1, at: clock.now }]);
    clock.now += minute;
    await manager.get(token, { client: thief });
    expect(events.slice(1)).toEqual([{ ...event, count: 2, at: clock.now }]);
  });

  test("is answered as missing when rejected: nothing is written, kept alive, regenerated, or ended", async () => {
    const { manager, events, calls, clock } = bound({ ...binding, onMismatch: "reject" }, { touchAfter: 0 });
    const { token } = await manager.create({ data: { n: 1 }, client: home });
    clock.now += minute;
    calls.length = 0;
    expect(await manager.get(token, { client: thief })).toBeUndefined();
    expect(await manager.update(token, () => ({ n: 2 }), { client: thief })).toBeUndefined();
    expect(await manager.touch(token, { client: thief })).toBe(false);
    expect(await manager.regenerate(token, { client: thief })).toBeUndefined();
    expect(new Set(calls)).toEqual(new Set(["get"]));
    expect((await manager.stats()).misses).toBe(3);
    expect(events.map(({ kind }) => kind)).toEqual(["bindingMismatch"]);
    expect((await manager.get(token, { client: home }))?.data).toEqual({ n: 1 });
  });

  test("is detected also when another client reads the session in the same tick", async () => {
    const { manager, calls } = bound({ ...binding, onMismatch: "reject" });
    const { token } = await manager.create({ data: {}, client: home });
    calls.length = 0;
    const answers = await Promise.all(
      [home, thief, home, undefined, thief].map((client) => manager.get(token, { client })),
    );
    expect(answers.map((session) => session !== undefined)).toEqual([true, false, true, true, false]);
    expect(calls).toEqual(["get"]);
  });

  test("is reported also for an old token within the grace of a regeneration", async () => {
    const { manager } = bound({ ...binding, onMismatch: "reject" }, { regenerationGrace: "10s" });
    const { token: old } = await manager.create({ userId: "42", data: {}, client: home });
    await manager.regenerate(old, { client: home });
    expect((await manager.get(old, { client: home }))?.isSuperseded).toBe(true);
    expect(await manager.get(old, { client: thief })).toBeUndefined();
    expect(await manager.destroy(old)).toBe(true);
  });

  test("ends with a regeneration for the new client, where mismatches are only reported", async () => {
    const { manager, events, clock } = bound({ ...binding, onMismatch: "report" });
    const { token } = await manager.create({ userId: "42", data: { n: 1 }, client: home });
    const moved = await manager.regenerate(token, { client: thief });
    expect(events).toHaveLength(1);
    clock.now += minute;
    expect((await manager.get(moved?.token ?? "", { client: thief }))?.data).toEqual({ n: 1 });
    expect(events).toHaveLength(1);
    const kept = await manager.regenerate(moved?.token ?? "");
    await manager.get(kept?.token ?? "", { client: home });
    expect(events).toHaveLength(2);
  });

  test("is not detected for a read without client, or for a session created without one", async () => {
    const { manager, events } = bound({ ...binding, onMismatch: "reject" });
    const { token } = await manager.create({ data: {}, client: home });
    expect(await manager.get(token)).toBeDefined();
    const unbound = await manager.create({ data: {} });
    expect(await manager.get(unbound.token, { client: thief })).toBeDefined();
    expect(events).toEqual([]);
  });
});

test("is off by default: no binding is stored or checked, and no read is added", async () => {
  const { manager, store, calls } = bound(undefined);
  const { token, session } = await manager.create({ data: {}, client: home });
  expect((await store.get(session.id))?.payload).toBe('{"data":{},"metadata":{}}');
  calls.length = 0;
  const client = { ip: "203.0.113.1" };
  expect(await Promise.all([manager.get(token, { client }), manager.get(token)])).not.toContain(undefined);
  await manager.regenerate(token, { client });
  expect(calls).toEqual(["get", "get", "rename"]);
});

test("the binding of a session is stored as hashes, survives writes, and is in no list", async () => {
  const { manager, store } = bound({ userAgent: true, address: true, onMismatch: "reject" });
  const { token, session } = await manager.create({ userId: "42", data: {}, client: home });
  await session.update(() => ({ n: 1 }));
  const payload = (await store.get(session.id))?.payload ?? "";
  for (const plain of ["192.0.2", "Firefox"]) expect(payload).not.toContain(plain);
  expect(JSON.stringify(await manager.listByUser("42"))).not.toContain("boundTo");
  expect(await manager.get(token, { client: { ...home, userAgent: "curl" } })).toBeUndefined();
});

test.each([
  [7, "binding"],
  [{ onMismatch: "log" }, "onMismatch"],
  [{ onMismatch: "report", userAgent: "yes" }, "userAgent"],
  [{ onMismatch: "report", address: 24 }, "address"],
  [{ onMismatch: "report", address: { ipv4Prefix: 33 } }, "ipv4Prefix"],
  [{ onMismatch: "report", address: { ipv6Prefix: 0 } }, "ipv6Prefix"],
  [{ onMismatch: "report", address: { ipv6Prefix: 56, v4: 24 } }, "v4"],
  [{ onMismatch: "report", ip: true }, "ip"],
])("%j is refused", (binding, named) => {
  expect(() => setUp({ binding: binding as never })).toThrow(named);
});

test("a payload whose binding was tampered with cannot be read", async () => {
  const { manager, store } = bound({ address: true, onMismatch: "reject" });
  for (const boundTo of ['"x"', '{"userAgent":1}', '{"address":7}', '{"address":{"hash":"x","ipv4Prefix":99}}']) {
    const payload = `{"data":{},"metadata":{},"boundTo":${boundTo}}`;
    const id = `s${boundTo.length}`;
    await store.create({ id, payload, idleMs: minute, absoluteMs: minute });
    await expect(manager.byId.get(id, { client: home })).rejects.toMatchObject({ code: "DECODE" });
  }
});
