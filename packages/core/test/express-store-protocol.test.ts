import { describe, expect, test } from "vitest";
import { ExpressStoreProtocol, type LoadedSession } from "../src/bridge/index.js";
import { gate, overriding, setUp } from "./support.js";

/* What a bridge relies on. packages/bridges/express-session/test has the flows over real HTTP. */

interface Request {
  readonly ip: string;
}
interface Data {
  cookie: { originalMaxAge: number };
  [key: string]: unknown;
}

const request: Request = { ip: "127.0.0.1" };
const cookie = { originalMaxAge: 60_000, maxAge: 60_000 };
const sid = "a session id";

/** A bridge that knows a session again by the identity of its object. */
class Objects extends WeakMap<object, LoadedSession> {
  readonly requests = new WeakMap<object, Request>();

  requestOfNew(object: object): Request | undefined {
    return this.requests.get(object);
  }
}

function bridge(objects: Objects = new Objects()) {
  const { store } = setUp();
  const updates = { until: Promise.resolve() };
  const slow = overriding(store, (method, original) => (...args) => {
    return method === "update" ? updates.until.then(() => original(...args)) : original(...args);
  });
  const { manager } = setUp({ store: slow });
  const conflicts: string[] = [];
  manager.on("conflict", ({ reason }) => conflicts.push(reason));
  const options = { manager, userId: () => undefined, metadata: () => ({}) };
  const protocol = new ExpressStoreProtocol<Request, Data>("test-bridge", options, objects);
  /** Makes a session as the framework does for a request, and saves it. */
  const begin = async (data: object): Promise<void> => {
    const made = { cookie, ...data };
    objects.requests.set(made, request);
    await protocol.save(sid, made);
  };
  const load = async (): Promise<Data> => (await protocol.get(sid)) ?? expect.fail("no such session");
  return { protocol, conflicts, updates, begin, load };
}

/** What koa-session does: it hands its store a plain copy of the session, for each save. */
function copyOf(data: Data, change: object): Data {
  return JSON.parse(JSON.stringify({ ...data, ...change })) as Data;
}

const refusal = { code: "NOT_SUPPORTED", message: expect.stringContaining("test-bridge") };

describe("a save of an object that the bridge cannot trace to a load is refused", () => {
  test("so that it undoes no concurrent update", async () => {
    const { protocol, begin, load } = bridge();
    await begin({ a: 1 });
    const slow = await load();
    const fast = await load();
    await protocol.save(sid, Object.assign(fast, { a: 2 }));
    await expect(protocol.save(sid, copyOf(slow, { b: 1 }))).rejects.toMatchObject(refusal);
    expect(await load()).toMatchObject({ a: 2 });
    expect(await load()).not.toHaveProperty("b");
  });

  test("so that it does not revive a session after the logout", async () => {
    const { protocol, begin, load } = bridge();
    await begin({ a: 1 });
    const slow = await load();
    await protocol.destroy(sid);
    await expect(protocol.save(sid, copyOf(slow, { b: 1 }))).rejects.toMatchObject(refusal);
    expect(await protocol.get(sid)).toBeUndefined();
  });

  test("so that an expired cookie in it ends no session", async () => {
    const { protocol, begin, load } = bridge();
    await begin({ a: 1 });
    const expired = copyOf(await load(), { cookie: { originalMaxAge: 5, expires: new Date(0) } });
    await expect(protocol.save(sid, expired)).rejects.toMatchObject(refusal);
    expect(await load()).toMatchObject({ a: 1 });
  });
});

describe("a save of an object that the bridge recognises", () => {
  test("as loaded: is merged, and dropped after the logout with a conflict event", async () => {
    const { protocol, conflicts, begin, load } = bridge();
    await begin({ a: 1 });
    const [slow, fast] = [await load(), await load()];
    await protocol.save(sid, Object.assign(fast, { a: 2 }));
    await protocol.save(sid, Object.assign(slow, { b: 1 }));
    expect(await load()).toMatchObject({ a: 2, b: 1 });
    await protocol.destroy(sid);
    await protocol.save(sid, Object.assign(slow, { b: 2 }));
    expect(await protocol.get(sid)).toBeUndefined();
    expect(conflicts).toEqual(["retried", "ended"]);
  });

  test("as the application's own: creates the session, and replaces all of its data", async () => {
    class AffirmingObjects extends Objects {
      isApplicationsOwn(object: object): boolean {
        return Object.hasOwn(object, "isOwn");
      }
    }
    const { protocol, begin, load } = bridge(new AffirmingObjects());
    await begin({ a: 1 });
    await protocol.save(sid, { cookie, isOwn: true, b: 1 });
    expect(await load()).toMatchObject({ b: 1 });
    expect(await load()).not.toHaveProperty("a");
    await protocol.destroy(sid);
    await protocol.save(sid, { cookie, isOwn: true, b: 2 });
    expect(await load()).toMatchObject({ b: 2 });
    await expect(protocol.save(sid, { cookie, b: 3 })).rejects.toMatchObject(refusal);
  });
});

test("get waits for this process's writes of the session that began before it", async () => {
  const { protocol, updates, begin, load } = bridge();
  await begin({ a: 1 });
  const written = gate();
  updates.until = written.opened;
  const saved = protocol.save(sid, Object.assign(await load(), { a: 2 }));
  const read = protocol.get(sid);
  written.open();
  expect(await read).toMatchObject({ a: 2 });
  await saved;
});

test("a destroy does not overtake the save before it", async () => {
  const { protocol, begin } = bridge();
  const saved = begin({ a: 1 });
  const destroyed = protocol.destroy(sid);
  const read = protocol.get(sid);
  await Promise.all([saved, destroyed]);
  expect(await read).toBeUndefined();
});
