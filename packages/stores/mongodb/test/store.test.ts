import { setTimeout as sleep } from "node:timers/promises";
import { isSessionError } from "@sojourn/core";
import { startFerretDB, startMongoJavaServer } from "@sojourn/test-fixtures";
import { type Document, type IndexDescription, Long } from "mongodb6";
import { afterAll, describe, expect, test } from "vitest";
import { MongoStore } from "../src/index.js";
import { assertFit } from "../src/schema.js";
import { countWaits, openClient, openClient6, openStore } from "./harness.js";

const server = await startMongoJavaServer();
const client = openClient6(server.url);
afterAll(async () => {
  await client.close();
  await server.stop();
});

const db = client.db("store");
const hour = 3_600_000;
const lives = { payload: "p", idleMs: hour, absoluteMs: 24 * hour };

let collections = 0;
async function open(timeoutMs = 10_000): Promise<{ store: MongoStore; name: string }> {
  const name = `sessions_${collections++}`;
  return { store: await openStore({ collection: db.collection(name), timeoutMs }), name };
}

/** Writes until the store's server is back: on a busy machine one wait of the driver may be too short. */
async function recovered(store: MongoStore): Promise<void> {
  const status = (): Promise<string> => store.create({ id: "a", ...lives }).then(({ status }) => status, String);
  await expect.poll(status).toBe("created");
}

describe("set-up", () => {
  test("ten at once make the indexes, TTL among them, and the unique one holds", async () => {
    const name = "ten_at_once";
    const stores = Array.from(
      { length: 10 },
      () => new MongoStore({ collection: db.collection(name), timeoutMs: 10_000 }),
    );
    await Promise.all(stores.map((store) => store.ensureSchema()));
    const indexes: Document[] = await db.collection(name).indexes();
    expect(indexes.find(({ key }) => key.sid === 1)).toMatchObject({ unique: true });
    expect(indexes.filter(({ expireAfterSeconds }) => expireAfterSeconds === 3_600)).toHaveLength(2);
    const created = await Promise.all(stores.map((store) => store.create({ id: "a", ...lives })));
    expect(created.filter(({ status }) => status === "created")).toHaveLength(1);
  });

  test("the first create makes them, and a failed attempt is repeated", async () => {
    const name = "lazy";
    const store = new MongoStore({ client, dbName: "store", collectionName: name, timeoutMs: 2_000 });
    await server.kill();
    await expect(store.create({ id: "a", ...lives })).rejects.toMatchObject({ retryable: true });
    await server.restart();
    await recovered(store);
    const indexes: Document[] = await db.collection(name).indexes();
    expect(indexes.some(({ key, unique }) => key.sid === 1 && unique)).toBe(true);
  });
});

describe("a collection that does not fit is refused before a session is stored", () => {
  const name = "sojourn_sid";
  const strange: readonly [name: string, index: IndexDescription][] = [
    ["is not unique", { name, key: { sid: 1 } }],
    ["has another key", { name, key: { userId: 1 }, unique: true }],
    ["covers a part", { name, key: { sid: 1 }, unique: true, partialFilterExpression: { version: 1 } }],
    ["compares without case", { name, key: { sid: 1 }, unique: true, collation: { locale: "en", strength: 2 } }],
  ];
  test.each(strange)("an index of the store's name %s", async (_, index) => {
    const collection = db.collection(`strange_${collections++}`);
    await collection.createIndexes([index]);
    const store = new MongoStore({ collection, timeoutMs: 10_000 });
    await expect(store.ensureSchema()).rejects.toMatchObject({
      code: "BACKEND",
      message: expect.stringContaining(name),
    });
    await expect(store.create({ id: "a", ...lives })).rejects.toMatchObject({ code: "BACKEND" });
    expect(await collection.countDocuments()).toBe(0);
  });

  test("a collation of the collection, as its index on _id tells it", () => {
    const ofIds = { v: 2, key: { _id: 1 }, name: "_id_" } as const;
    expect(() => assertFit([{ ...ofIds, collation: { locale: "fr" } }], [])).toThrow(/collation/);
    expect(() => assertFit([ofIds, { ...ofIds, collation: { locale: "simple" } }], [])).not.toThrow();
  });
});

describe("the guard of a user", () => {
  const limited = { limit: { max: 1, whenReached: "reject" } } as const;

  test("goes when the queue is empty", async () => {
    const { store, name } = await open();
    await Promise.all([1, 2, 3].map((n) => store.create({ id: `a${n}`, userId: "u", ...lives }, limited)));
    expect(await store.listByUser("u")).toHaveLength(1);
    expect(await db.collection(`${name}_guards`).find().toArray()).toEqual([]);
  });

  test("is healed after a process died between its ticket and its session", async () => {
    const timeoutMs = 1_000;
    const { store, name } = await open(timeoutMs);
    const drawnAt = Date.now();
    const tickets = [`${drawnAt} ticket-of-a-dead-process ${3 * timeoutMs}`, `${drawnAt} of the release before`];
    // Ids of guards are user ids.
    const guards = db.collection<{ _id: string } & Document>(`${name}_guards`);
    await guards.insertOne({ _id: "u", tickets, touchedAt: new Date(drawnAt) });
    const create = () => store.create({ id: "a", userId: "u", ...lives }, limited);
    // Nothing was gained, and the caller knows it.
    await expect(create()).rejects.toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: false });
    await expect.poll(() => create().then(({ status }) => status, String)).toBe("created");
    // As long as the dead process might still have stored its session, its place was kept.
    expect(Date.now() - drawnAt).toBeGreaterThanOrEqual(3 * timeoutMs - 50);
    expect(await guards.find().toArray()).toEqual([]);
  });

  test("a session that made room but died before the others went is healed by the next", async () => {
    const { store } = await open();
    const evict = { limit: { max: 2, whenReached: "evictOldest" } } as const;
    for (const id of ["a", "b", "c", "d"]) {
      await store.create({ id, userId: "u", ...lives });
      await sleep(2);
    }
    const created = await store.create({ id: "e", userId: "u", ...lives }, evict);
    expect(created).toMatchObject({ status: "created", evicted: ["a", "b", "c"] });
  });
});

describe("input", () => {
  test("no operator reaches a filter", async () => {
    const { store } = await open();
    await store.create({ id: "a", userId: "u", ...lives });
    const waits = countWaits(client);
    const operator: never = { $ne: null } as never;
    const refused = expect.objectContaining({ code: "INVALID_ARGUMENT" });
    await expect(store.get(operator)).rejects.toEqual(refused);
    await expect(store.update(operator, { payload: "q" })).rejects.toEqual(refused);
    await expect(store.update("a", { userId: operator })).rejects.toEqual(refused);
    await expect(store.update("a", { payload: operator })).rejects.toEqual(refused);
    await expect(store.touch("a", { idleMs: operator })).rejects.toEqual(refused);
    await expect(store.rename("a", operator)).rejects.toEqual(refused);
    await expect(store.destroy(operator)).rejects.toEqual(refused);
    await expect(store.listByUser(operator)).rejects.toEqual(refused);
    await expect(store.destroyByUser(operator)).rejects.toEqual(refused);
    await expect(store.destroyByUser("u", { except: operator })).rejects.toEqual(refused);
    expect(waits()).toBe(0);
    expect((await store.get("a"))?.payload).toBe("p");
  });

  test("text that looks like an operator or a path is text", async () => {
    const { store } = await open();
    const odd = "$set.payload.$[]";
    await store.create({ id: odd, userId: odd, ...lives, payload: odd });
    await store.update(odd, { payload: `${odd}2` });
    expect(await store.listByUser(odd)).toMatchObject([{ id: odd, userId: odd, payload: `${odd}2` }]);
  });
});

describe("stored documents", () => {
  const damage: readonly [name: string, fields: Document][] = [
    ["a payload of another type", { payload: { a: 1 } }],
    ["a version that is no number", { version: "1" }],
    ["a user id that is no text", { userId: 7 }],
    ["a deadline that is no date", { idleEndsAt: 1 }],
    ["no end", { endsAt: null }],
  ];
  test.each(damage)("%s is CORRUPT and stays as it is", async (_, fields) => {
    const { store, name } = await open();
    await store.create({ id: "a", userId: "u", ...lives });
    await db.collection(name).updateOne({ sid: "a" }, { $set: fields });
    const before = await db.collection(name).findOne({ sid: "a" });
    await expect(store.get("a")).rejects.toMatchObject({ code: "CORRUPT" });
    expect(await store.sweep({ limit: 10 })).toEqual([]);
    expect(await db.collection(name).findOne({ sid: "a" })).toEqual(before);
  });

  test("a version of 64 bits and times as dates are read, however the client is set", async () => {
    const { store, name } = await open();
    await store.create({ id: "a", userId: "u", ...lives });
    const raw = await db.collection(name).findOne({ sid: "a" });
    for (const field of ["createdAt", "lastActiveAt", "idleEndsAt", "endsAt"])
      expect(raw?.[field]).toBeInstanceOf(Date);
    await db
      .collection<Document>(name)
      .updateOne({ sid: "a" }, { $set: { version: Long.fromNumber(2 ** 40) as never } });
    const collection = db.collection(name, { promoteLongs: false, promoteValues: false });
    const other = new MongoStore({ collection, timeoutMs: 10_000 });
    expect((await other.get("a"))?.version).toBe(2 ** 40);
    const updated = await other.update("a", { payload: "q" }, { expectedVersion: 2 ** 40 });
    expect(updated).toMatchObject({ status: "updated", record: { version: 2 ** 40 + 1 } });
  });

  test("its _id stays when it is renamed", async () => {
    const { store, name } = await open();
    await store.create({ id: "a", ...lives });
    const before = await db.collection(name).findOne({ sid: "a" });
    await store.rename("a", "b");
    expect((await db.collection(name).findOne({ sid: "b" }))?._id).toEqual(before?._id);
  });
});

describe("documents of other programs", () => {
  test.each([1, 2, 3, 100])("hides no session from a scan in batches of %i, whatever its _id is", async (batchSize) => {
    const { store, name } = await open();
    const ids = Array.from({ length: 6 }, (_, n) => `a${n}`);
    for (const id of ids) await store.create({ id, ...lives });
    const strangers = [5, "text", { a: 1 }, new Date(), true].map((_id, n) => ({ _id: _id as never, sid: `s${n}` }));
    await db.collection(name).insertMany(strangers);
    const corrupt: unknown[] = [];
    const seen: string[] = [];
    const records = store.scan({ batchSize, onCorrupt: (error) => corrupt.push(error) });
    for await (const { id } of records) seen.push(id);
    expect(seen.sort()).toEqual(ids);
    expect(corrupt).toHaveLength(strangers.length);
  });

  test("is not swept as a session", async () => {
    const { store, name } = await open();
    const stranger = { endsAt: new Date(0), note: "not yours" };
    await db.collection(name).insertOne({ ...stranger });
    expect(await store.sweep({ limit: 10 })).toEqual([]);
    expect(await db.collection(name).findOne({})).toMatchObject(stranger);
  });
});

describe("servers that are away", () => {
  test("the port is closed: every call rejects, and fromUrl closes what it opened", async () => {
    const store = MongoStore.fromUrl("mongodb://127.0.0.1:1/app", { timeoutMs: 300 });
    await expect(store.get("a")).rejects.toMatchObject({ retryable: true });
    await expect(store.create({ id: "a", ...lives })).rejects.toMatchObject({ retryable: true });
    await expect(store.listByUser("u")).rejects.toMatchObject({ retryable: true });
    await store.close();
    await expect(store.get("a")).rejects.toMatchObject({ code: "CLOSED" });
  });

  test("down when the store's client is new: rejects, and recovers by itself", async () => {
    const late = await startMongoJavaServer();
    await late.kill();
    const lateClient = openClient6(late.url);
    const store = new MongoStore({ client: lateClient, timeoutMs: 10_000 });
    for (const id of ["a", "b"]) await expect(store.get(id)).rejects.toMatchObject({ retryable: true });
    await late.restart();
    await recovered(store);
    await lateClient.close();
    await late.stop();
  });

  test("fromUrl serves, and its client ends with it", async () => {
    const ferret = await startFerretDB();
    const store = MongoStore.fromUrl(`${ferret.url}app`, { collectionName: "sessions", timeoutMs: 10_000 });
    await store.create({ id: "a", ...lives });
    expect((await store.get("a"))?.payload).toBe("p");
    await store.close();
    await ferret.stop();
  });

  test("killed under load and started again: each call settles, stored sessions are there, and service resumes", async () => {
    const ferret = await startFerretDB();
    const ferretClient = openClient(ferret.url);
    const patient = await openStore({ client: ferretClient, dbName: "load", timeoutMs: 30_000 });
    const store = new MongoStore({ client: ferretClient, dbName: "load", timeoutMs: 2_000 });
    const accepted: string[] = [];
    const failures: unknown[] = [];
    let isOver = false;
    const worker = async (n: number): Promise<void> => {
      for (let round = 0; !isOver; round++) {
        const id = `${n} ${round}`;
        await store.create({ id, ...lives }).then(
          () => accepted.push(id),
          (error: unknown) => failures.push(error),
        );
      }
    };
    const workers = Array.from({ length: 4 }, (_, n) => worker(n));
    while (accepted.length < 20) await sleep(10);
    await ferret.kill();
    while (failures.length < 4) await sleep(10);
    await ferret.restart();
    const before = accepted.length;
    while (accepted.length < before + 20) await sleep(10);
    isOver = true;
    await Promise.all(workers);
    expect(failures.filter((error) => !isSessionError(error) || !error.retryable)).toEqual([]);
    const found = await Promise.all(accepted.map((id) => patient.get(id)));
    expect(found.every((record) => record !== undefined)).toBe(true);
    await ferretClient.close();
    await ferret.stop();
  });
});
