import { describe, expect, test } from "vitest";
import type { SessionManager, TokenSession } from "../src/index.js";
import type { LifetimeInput } from "../src/sessions/lifetimes.js";
import { hour, minute, setUp } from "./support.js";

const day = 24 * hour;
const timeouts = { idleTimeout: "30m", absoluteTimeout: "12h" } as const;
const rememberMe = { idleTimeout: "30d", absoluteTimeout: "60d", persistent: true } as const;

async function regenerate(
  manager: SessionManager,
  token: string,
  input: Parameters<SessionManager["regenerate"]>[1],
): Promise<TokenSession<Record<string, unknown>>> {
  const fresh = await manager.regenerate(token, input);
  if (fresh === undefined) throw new Error("expected a session");
  return fresh;
}

describe("the absolute deadline", () => {
  test("starts again at a login: gaining a user, or authenticating anew", async () => {
    const { manager, clock } = setUp({ ...timeouts, idleTimeout: "12h" });
    const visitor = await manager.create({ data: {} });
    clock.now += 11.5 * hour;
    const login = await regenerate(manager, visitor.token, { userId: "42" });
    expect(login.session.endsAt).toBe(clock.now + 12 * hour);
    clock.now += hour;
    const again = await regenerate(manager, login.token, { authenticated: true });
    expect(again.session.endsAt).toBe(clock.now + 12 * hour);
    expect((await manager.get(again.token))?.endsAt).toBe(again.session.endsAt);
    expect(again.session.createdAt).toBe(visitor.session.createdAt);
  });

  test("stays in any other regeneration", async () => {
    const { manager, clock } = setUp(timeouts);
    const { token, session } = await manager.create({ userId: "42", data: {} });
    clock.now += minute;
    const rotated = await regenerate(manager, token, {});
    const named = await regenerate(manager, rotated.token, { userId: "42" });
    const anonymous = await regenerate(manager, named.token, { userId: null });
    for (const { endsAt } of [rotated.session, named.session, anonymous.session]) expect(endsAt).toBe(session.endsAt);
  });
});

describe("a session that is remembered", () => {
  test("has its own lifetimes from the login on, in every read, write, touch and regeneration", async () => {
    const { manager, clock } = setUp(timeouts);
    const visitor = await manager.create({ data: {} });
    expect(visitor.session.persistent).toBeUndefined();
    const login = await regenerate(manager, visitor.token, { userId: "42", ...rememberMe });
    expect(login.session).toMatchObject({
      persistent: true,
      expiresAt: clock.now + 30 * day,
      endsAt: clock.now + 60 * day,
    });
    clock.now += 29 * day;
    const loaded = await manager.get(login.token);
    expect(loaded).toMatchObject({ persistent: true, expiresAt: clock.now + 30 * day });
    await loaded?.save({ n: 1 });
    const rotated = await regenerate(manager, login.token, {});
    expect(rotated.session).toMatchObject({ persistent: true, expiresAt: clock.now + 30 * day });
    const again = await regenerate(manager, rotated.token, { authenticated: true });
    expect(again.session).toMatchObject({ persistent: true, endsAt: clock.now + 60 * day });
  });

  test("forgets them when it passes to another user, or to none", async () => {
    for (const userId of ["43", null]) {
      const { manager, clock } = setUp(timeouts);
      const { token } = await manager.create({ userId: "42", data: {}, ...rememberMe });
      const { session } = await regenerate(manager, token, { userId });
      expect(session).toMatchObject({ persistent: undefined, expiresAt: clock.now + 30 * minute });
    }
  });

  test("can be forgotten at a later login", async () => {
    const { manager, clock } = setUp(timeouts);
    const { token } = await manager.create({ userId: "42", data: {}, ...rememberMe });
    const input = { authenticated: true, idleTimeout: "30m", absoluteTimeout: "12h", persistent: false } as const;
    const { session } = await regenerate(manager, token, input);
    expect(session).toMatchObject({
      persistent: false,
      expiresAt: clock.now + 30 * minute,
      endsAt: clock.now + 12 * hour,
    });
  });

  test.each<LifetimeInput>([
    { idleTimeout: "30d" },
    { idleTimeout: "2h", absoluteTimeout: "1h" },
    { absoluteTimeout: -1 },
    { persistent: "yes" as never },
  ])("is refused with %j, and the session keeps its token", async (input) => {
    const { manager } = setUp(timeouts);
    const { token } = await manager.create({ data: {} });
    await expect(manager.regenerate(token, { userId: "42", ...input })).rejects.toMatchObject({
      code: "INVALID_OPTION",
    });
    expect(await manager.get(token)).toMatchObject({ userId: undefined });
  });
});

describe("an idle timeout that a deploy has lowered", () => {
  async function deployed() {
    const before = setUp({ idleTimeout: "10h" });
    const { token } = await before.manager.create({ data: {} });
    const own = await before.manager.create({ data: {}, idleTimeout: "11h" });
    const after = setUp({ store: before.store, idleTimeout: "30m" });
    before.calls.length = 0;
    return { ...before, manager: after.manager, token, own };
  }

  test("reaches a session that is only read, by one touch", async () => {
    const { manager, clock, calls, token } = await deployed();
    clock.now += minute;
    for (let read = 0; read < 3; read++) {
      expect((await manager.get(token))?.expiresAt).toBe(clock.now + 30 * minute);
    }
    expect(calls).toEqual(["get", "touch", "get", "get"]);
    clock.now += 31 * minute;
    expect(await manager.get(token)).toBeUndefined();
  });

  test("does not reach a session with a timeout of its own, nor a read that is no activity", async () => {
    const { manager, clock, token, own } = await deployed();
    expect((await manager.get(token, { touch: false }))?.expiresAt).toBe(clock.now + 10 * hour);
    expect((await manager.get(own.token))?.expiresAt).toBe(clock.now + 11 * hour);
  });

  test("does not shorten what a write has set beyond it", async () => {
    const { manager, clock } = setUp({ ...timeouts, idleTimeout: "30m" });
    const { token, session } = await manager.create({ data: {} });
    await session.save({ n: 1 }, { idleMs: 2 * hour });
    expect((await manager.get(token))?.expiresAt).toBe(clock.now + 2 * hour);
  });
});
