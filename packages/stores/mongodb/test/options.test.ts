import { MongoClient } from "mongodb";
import { describe, expect, test } from "vitest";
import { MongoStore } from "../src/index.js";
import { resolveOptions } from "../src/options.js";
import { openClient } from "../src/own-client.js";

// Connects with its first request, and none is made here.
const client = new MongoClient("mongodb://127.0.0.1:1/app");

describe("options", () => {
  test("a collection stands for its client, database and name", () => {
    const collection = client.db("other").collection("sessions");
    expect(resolveOptions({ collection })).toEqual({
      client,
      dbName: "other",
      collectionName: "sessions",
      writeConcern: { w: "majority" },
      timeoutMs: 2_000,
    });
  });

  const refused: readonly [options: unknown, named: string][] = [
    [undefined, '"options"'],
    [{}, '"client"'],
    [{ client: {} }, '"client"'],
    [{ collection: {} }, '"collection"'],
    [{ client, collection: client.db().collection("a") }, '"client"'],
    [{ client, dbname: "app" }, '"dbname"'],
    [{ client, dbName: "a.b" }, '"dbName"'],
    [{ client, collectionName: "" }, '"collectionName"'],
    [{ client, collectionName: "a$b" }, '"collectionName"'],
    [{ client, collectionName: "system.users" }, '"collectionName"'],
    [{ client, collectionName: { $ne: "a" } }, '"collectionName"'],
    [{ client, collectionName: "é".repeat(93) }, '"collectionName"'],
    [{ client, writeConcern: { w: 0 } }, '"writeConcern"'],
    [{ client, writeConcern: "majority" }, '"writeConcern"'],
    [{ client, timeoutMs: 0 }, '"timeoutMs"'],
    [{ client, timeoutMs: Number.NaN }, '"timeoutMs"'],
    [{ client, timeoutMs: 2_147_483_648 }, '"timeoutMs"'],
  ];
  test.each(refused)("%#: are refused by name", (options, named) => {
    const expected = { code: "INVALID_OPTION", message: expect.stringContaining(named) };
    // A caller without types may pass anything.
    expect(() => new MongoStore(options as never)).toThrow(expect.objectContaining(expected));
  });

  test.each(["redis://localhost", "mongodb://", 7, undefined])("the URL %s is refused", (url) => {
    expect(() => MongoStore.fromUrl(url as never)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });

  test.each([
    [null, /option "options" must be an object, received null/],
    [{ client }, /unknown option "client"; the options are dbName, .*, driverOptions$/],
    [{ driverOptions: 7 }, /option "driverOptions" must be an object/],
    [{ driverOptions: { maxPolSize: 5 } }, /refuses "url" or "driverOptions"/],
  ])("fromUrl refuses %#", (options, message) => {
    const call = (): MongoStore => MongoStore.fromUrl("mongodb://localhost", options as never);
    expect(call).toThrow(message);
    expect(call).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });

  test("options of the driver override the URL and the timeouts of the store", () => {
    const driverOptions = { appName: "ours", connectTimeoutMS: 700 };
    const opened = openClient("mongodb://localhost/?appName=theirs&maxPoolSize=7", { driverOptions });
    expect(opened.options).toMatchObject({
      appName: "ours",
      connectTimeoutMS: 700,
      maxPoolSize: 7,
      waitQueueTimeoutMS: 2_000,
    });
  });

  test("a URL that the driver refuses is refused without showing it", () => {
    const call = (): MongoStore => MongoStore.fromUrl("mongodb://me:secret@host:port:1/?w=x");
    expect(call).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.not.stringContaining("secret") }),
    );
  });
});
