import { ForeignSessions } from "@sojourn/core/bridge";
import { MemoryStore } from "@sojourn/memory";
import { expect, onTestFinished, test } from "vitest";

interface Data {
  a?: number;
  b?: number;
  cookie?: unknown;
}

/** The scope of a new request. */
const scope = (): object => ({});

function open(): ForeignSessions<Data> {
  const sessions = new ForeignSessions<Data>({ store: new MemoryStore() });
  onTestFinished(() => sessions.manager.close());
  return sessions;
}

test("a save without a scope is refused, unless the object was loaded", async () => {
  const sessions = open();
  await expect(sessions.save("s", { a: 1 }, undefined)).rejects.toMatchObject({ code: "NOT_SUPPORTED" });
  await sessions.save("s", { a: 1 }, scope());
  const data = (await sessions.load("s", undefined)) ?? expect.fail("missing");
  data.b = 2;
  await sessions.save("s", data, undefined);
  expect(await sessions.load("s", undefined)).toEqual({ a: 1, b: 2 });
  await expect(sessions.save("s", { ...data }, undefined)).rejects.toMatchObject({ code: "NOT_SUPPORTED" });
});

test("a scope traces each of its session ids, and creates none of them again", async () => {
  const sessions = open();
  const request = scope();
  const sids = ["s1", "s2"];
  for (const sid of sids) await sessions.save(sid, { a: 1 }, scope());
  for (const sid of sids) await sessions.load(sid, request);
  for (const sid of sids) await sessions.destroy(sid);
  for (const sid of sids) await sessions.save(sid, { a: 2 }, request);
  for (const sid of sids) expect(await sessions.load(sid, scope())).toBeUndefined();
});

test("an object keeps its own baseline when its request has read the session once more", async () => {
  const sessions = open();
  await sessions.save("s", { a: 1 }, scope());
  const [request, other] = [scope(), scope()];
  const data = (await sessions.load("s", request)) ?? expect.fail("missing");
  await sessions.load("s", other);
  await sessions.save("s", { a: 1, b: 2 }, other);
  await sessions.load("s", request);
  data.a = 3;
  await sessions.save("s", data, request);
  expect(await sessions.load("s", scope())).toEqual({ a: 3, b: 2 });
});

test("a second save of a new session is a change of it; under another id it makes another session", async () => {
  const sessions = open();
  const request = scope();
  const data: Data = { a: 1 };
  await sessions.save("s", data, request);
  await sessions.save("s", { b: 2 }, request);
  expect(await sessions.load("s", scope())).toEqual({ b: 2 });
  await sessions.save("regenerated", data, request);
  expect(await sessions.load("regenerated", scope())).toEqual({ a: 1 });
});

test("cookie is data like any other, and the idle timeout is the one of the call", async () => {
  const sessions = open();
  const cookie = { maxAge: 5, expires: "2001-01-01", originalMaxAge: 5 };
  const remaining = async (): Promise<number | undefined> => {
    for await (const { remainingMs } of sessions.manager.byId.scan()) return remainingMs;
    return undefined;
  };
  await sessions.save("s", { cookie }, scope(), 60_000);
  expect(await sessions.load("s", scope())).toEqual({ cookie });
  expect(await remaining()).toBeLessThanOrEqual(60_000);
  await sessions.touch("s", 3_600_000);
  expect(await remaining()).toBeGreaterThan(3_000_000);
  await sessions.save("s", { cookie }, scope(), 0);
  expect(await remaining()).toBeUndefined();
  await sessions.touch("s", 1_000);
  expect(await remaining()).toBeUndefined();
});

test("a malformed session id is a miss, and writes refuse it", async () => {
  const sessions = open();
  expect(await sessions.load("a\u0000", scope())).toBeUndefined();
  await expect(sessions.save("", {}, scope())).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await expect(sessions.destroy("")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});
