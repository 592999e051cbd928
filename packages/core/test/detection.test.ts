import { describe, expect, test } from "vitest";
import { isSessionError, type SecurityEvent, type SessionManagerOptions } from "../src/index.js";
import { generateToken } from "../src/sessions/tokens.js";
import { minute, setUp } from "./support.js";

function watched(options: Partial<SessionManagerOptions> = {}) {
  const fixture = setUp(options);
  const events: SecurityEvent[] = [];
  fixture.manager.on("security", (event) => events.push(event));
  const guess = async (times: number, ip?: string): Promise<void> => {
    for (let n = 0; n < times; n++) await fixture.manager.get(generateToken(), { client: { ip } });
  };
  return { ...fixture, events, guess };
}

describe("malformed tokens", () => {
  test("are one event with their number, without the tokens", async () => {
    const { manager, events, calls, clock } = watched();
    const client = { ip: "192.0.2.1" };
    await manager.get("../../etc/passwd", { client });
    for (const token of [`${"x".repeat(42)}\r`, "x".repeat(10_000), {} as string, 7 as unknown as string]) {
      expect(await manager.get(token, { client })).toBeUndefined();
    }
    expect(events).toEqual([{ kind: "malformedToken", count: 1, source: "192.0.2.1", at: clock.now }]);
    clock.now += minute;
    await manager.get("x", { client });
    expect(events.slice(1)).toEqual([{ kind: "malformedToken", count: 4, source: "192.0.2.1", at: clock.now }]);
    expect(calls).toEqual([]);
  });

  test("are reported by every method that takes a token; a visitor without a token is not", async () => {
    const { manager, events } = watched({ detection: { interval: 1 } });
    for (const none of ["", undefined, null]) await manager.get(none as string);
    expect(events).toEqual([]);
    await manager.regenerate("malformed");
    expect(events).toHaveLength(1);
    const { manager: other, events: seen } = watched();
    await other.destroy("malformed");
    expect(seen).toHaveLength(1);
  });
});

describe("tokens that find nothing", () => {
  test("are an event once a source has presented too many, and one in each interval that follows", async () => {
    const { events, guess, clock } = watched({ detection: { unknownTokens: 5, interval: "1m" } });
    await guess(4, "192.0.2.1");
    await guess(4, "192.0.2.2");
    expect(events).toEqual([]);
    await guess(3, "192.0.2.1");
    expect(events).toMatchObject([{ kind: "unknownTokens", count: 5, source: "192.0.2.1" }]);
    clock.now += minute;
    await guess(1, "192.0.2.3");
    expect(events.slice(1)).toMatchObject([{ kind: "unknownTokens", count: 2, source: "192.0.2.1", at: clock.now }]);
    // A reported interval is not reported again, and counts below the threshold are dropped.
    clock.now += minute;
    await guess(1, "192.0.2.2");
    expect(events).toHaveLength(2);
  });

  test("without a client count as one source; a token that finds a session does not count", async () => {
    const { manager, events, guess } = watched({ detection: { unknownTokens: 3 } });
    const { token } = await manager.create({ data: {} });
    for (let n = 0; n < 10; n++) await manager.get(token);
    await guess(2);
    expect(events).toEqual([]);
    await guess(1);
    expect(events).toMatchObject([{ kind: "unknownTokens", count: 3, source: undefined }]);
  });

  test("from ever new sources are counted in limited memory, and still reported", async () => {
    const { events, guess, clock } = watched({ detection: { unknownTokens: 20 } });
    for (let n = 0; n < 1_100; n++) await guess(1, `2001:db8::${n}`);
    expect(events).toMatchObject([{ kind: "unknownTokens", count: 20 }]);
    expect(events[0]?.source).toBeUndefined();
    clock.now -= minute;
    await guess(1, "192.0.2.1");
    expect(events.slice(1)).toMatchObject([{ kind: "unknownTokens", count: 80 }]);
  });
});

test("any number of sessions that cannot be read is one event", async () => {
  const { manager, store, events } = watched({ onUnreadable: "missing" });
  for (let n = 0; n < 3; n++) {
    await store.create({ id: `s${n}`, userId: "42", payload: "not readable", idleMs: minute, absoluteMs: minute });
    expect(await manager.byId.get(`s${n}`)).toBeUndefined();
  }
  expect(events).toMatchObject([{ kind: "unreadable", count: 1, id: "s0", userId: "42" }]);
  expect(JSON.stringify(events)).not.toContain("not readable");
});

test("a session limit that refuses is an event for each user", async () => {
  const { manager, events } = watched({ sessionLimit: { max: 1, whenReached: "reject" } });
  for (const userId of ["a", "b"]) {
    await manager.create({ userId, data: {} });
    await expect(manager.create({ userId, data: {} })).rejects.toSatisfy((error) =>
      isSessionError(error, "LIMIT_REACHED"),
    );
    const { token } = await manager.create({ data: {} });
    await expect(manager.regenerate(token, { userId })).rejects.toMatchObject({ code: "LIMIT_REACHED" });
  }
  expect(events.map(({ kind, userId }) => [kind, userId])).toEqual([
    ["limitReached", "a"],
    ["limitReached", "b"],
  ]);
});

test.each([
  [{ unknownTokens: 0 }, "unknownTokens"],
  [{ unknownTokens: 1.5 }, "unknownTokens"],
  [{ interval: 0 }, "interval"],
  [{ unknown: 1 }, "unknown"],
  [7, "detection"],
])("%j is refused", (detection, named) => {
  expect(() => setUp({ detection: detection as never })).toThrow(named);
});
