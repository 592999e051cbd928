import { startMongoJavaServer } from "@sojourn/test-fixtures";
import { afterAll, describe, expect, test } from "vitest";
import { MongoStore } from "../src/index.js";
import { missingActions } from "../src/rights.js";
import { openClient6 } from "./harness.js";

const server = await startMongoJavaServer();
afterAll(() => server.stop());

test("a client with w: 0 hears that the unique index was refused, and its writes are confirmed", async () => {
  const client = openClient6(`${server.url}?w=0`);
  const collection = client.db("unconfirmed").collection("sessions");
  await collection.insertMany([{ sid: "a" }, { sid: "a" }], { writeConcern: { w: 1 } });
  const store = new MongoStore({ collection, timeoutMs: 10_000 });
  await expect(store.ensureSchema()).rejects.toMatchObject({
    code: "BACKEND",
    message: expect.stringContaining("unique index"),
  });
  await collection.deleteMany({}, { writeConcern: { w: 1 } });
  const lives = { payload: "p", idleMs: 60_000, absoluteMs: 60_000 };
  expect((await store.create({ id: "a", ...lives })).status).toBe("created");
  expect((await store.create({ id: "a", ...lives })).status).toBe("duplicate");
  expect(await store.touch("b", { idleMs: 60_000 })).toBe(false);
  await client.close();
});

describe("the rights that an answer of connectionStatus grants", () => {
  const all = ["find", "insert", "update", "remove"];
  const user = (...authenticatedUserPrivileges: object[]) => ({
    authInfo: { authenticatedUsers: [{ user: "me" }], authenticatedUserPrivileges },
  });
  const on = (db: string, collection: string, ...actions: string[]) => ({ resource: { db, collection }, actions });
  test.each([
    ["nothing said", {}, []],
    ["no login", { authInfo: { authenticatedUsers: [], authenticatedUserPrivileges: [] } }, []],
    ["all on the collection", user(on("app", "sessions", ...all)), []],
    ["all on each collection of the database", user(on("app", "", ...all)), []],
    ["all on each database", user(on("", "", ...all)), []],
    ["all by several roles", user(on("app", "", "find"), on("app", "sessions", "insert", "update", "remove")), []],
    ["any action on any resource", user({ resource: { anyResource: true }, actions: ["anyAction"] }), []],
    ["reading alone", user(on("app", "", "find", "listIndexes")), ["insert", "update", "remove"]],
    ["another collection", user(on("app", "other", ...all)), all],
    ["another database", user(on("other", "", ...all)), all],
    ["the cluster", user({ resource: { cluster: true }, actions: all }), all],
  ])("%s", (_, status, missing) => {
    expect(missingActions(status, "app", "sessions")).toEqual(missing);
  });
});
