import { expect, test } from "vitest";
import { jsonCodec, SessionError, SessionManager, tokenToId } from "../src/index.js";
import { overriding, setUp } from "./support.js";

test("an export holds all stored data of a user's live sessions, as JSON, and none of another user's", async () => {
  const { manager, clock } = setUp({ idleTimeout: "30m" });
  await manager.create({ userId: "42", data: { old: true }, idleTimeout: "1m" });
  clock.now += 60_000;
  const metadata = { ip: "192.0.2.1" };
  const first = await manager.create({ userId: "42", data: { cart: ["a"] }, metadata, authenticated: true });
  clock.now += 1;
  const second = await manager.create({ userId: "42", data: { b: 2 } });
  await manager.create({ userId: "43", data: { theirs: true } });
  await manager.create({ data: { anonymous: true } });
  const exported = await manager.exportUser("42");
  expect(exported).toEqual({
    userId: "42",
    sessions: [
      { ...first.session.toJSON(), metadata, authenticatedAt: first.session.createdAt, data: { cart: ["a"] } },
      { ...second.session.toJSON(), data: { b: 2 } },
    ],
    unreadable: [],
  });
  expect(JSON.parse(JSON.stringify(exported))).toMatchObject({ sessions: [{ metadata }, { data: { b: 2 } }] });
  expect(JSON.stringify(exported)).not.toContain(first.token);
  expect(await manager.exportUser("nobody")).toEqual({ userId: "nobody", sessions: [], unreadable: [] });
});

test("an export contains the binding of a session, which is derived from the client's address and user agent", async () => {
  const { manager, clock } = setUp({ binding: { userAgent: true, address: true, onMismatch: "report" } });
  await manager.create({ userId: "42", data: {}, client: { ip: "192.0.2.7", userAgent: "Firefox" } });
  // Lists are ordered by creation; sessions of one millisecond are ordered by their random ids.
  clock.now += 1;
  await manager.create({ userId: "42", data: {} });
  const { sessions } = await manager.exportUser("42");
  expect(sessions.map(({ boundTo }) => boundTo)).toEqual([
    { userAgent: tokenToId("Firefox"), address: { hash: tokenToId("192.0.2.0"), ipv4Prefix: 24, ipv6Prefix: 56 } },
    undefined,
  ]);
});

test("an export is no activity", async () => {
  const { manager, clock, calls } = setUp();
  await manager.create({ userId: "42", data: {} });
  clock.now += 10 * 60_000;
  calls.length = 0;
  await manager.exportUser("42");
  expect(calls).toEqual(["listByUser"]);
});

test("sessions that cannot be read are listed, with their known members", async () => {
  const { manager, store } = setUp();
  const { session } = await manager.create({ userId: "42", data: { secret: "hunter2" } });
  const readable = await manager.create({ userId: "42", data: { a: 1 } });
  const corrupt = new SessionError("CORRUPT", "a damaged record");
  const damaged = overriding(store, (method, original) => async (userId, options) => {
    if (method === "listByUser") (options as { onCorrupt(error: SessionError): void }).onCorrupt(corrupt);
    return original(userId, options);
  });
  const decode = (payload: string): unknown => {
    if (payload.includes("hunter2")) throw new Error("no such key");
    return JSON.parse(payload);
  };
  const reader = new SessionManager({ store: damaged, sweep: false, codec: { ...jsonCodec, decode } });
  const errors: unknown[] = [];
  reader.on("error", ({ error, operation }) => errors.push([error.code, operation]));
  const { id, createdAt, lastActiveAt, expiresAt, endsAt } = session;
  const exported = await reader.exportUser("42");
  expect(exported.sessions.map((item) => item.id)).toEqual([readable.session.id]);
  expect(exported.unreadable).toEqual([
    { code: "CORRUPT", message: "a damaged record" },
    { id, createdAt, lastActiveAt, expiresAt, endsAt, code: "DECODE", message: expect.stringContaining(id) },
  ]);
  expect(JSON.stringify(exported)).not.toContain("hunter2");
  expect(errors).toEqual([
    ["CORRUPT", "exportUser"],
    ["DECODE", "exportUser"],
  ]);
});

test("a session that cannot be read at present fails the export under any policy, and a list as well", async () => {
  const error = new SessionError("UNAVAILABLE", "the key service is down");
  const { manager, store } = setUp();
  await manager.create({ userId: "42", data: {} });
  const codec = { ...jsonCodec, decode: () => Promise.reject(error) };
  const reader = new SessionManager({ store, sweep: false, codec, onUnreadable: "missing" });
  await expect(reader.exportUser("42")).rejects.toBe(error);
  await expect(reader.listByUser("42")).rejects.toBe(error);
});

test("an aborted export rejects ABORTED", async () => {
  const { manager } = setUp();
  await expect(manager.exportUser("42", { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
});
