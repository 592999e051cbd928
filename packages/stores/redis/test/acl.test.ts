import { startRedis, type TestServer } from "@sojourn/test-fixtures";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, it } from "vitest";
import { RedisStore } from "../src/index.js";
import { wrapClient } from "./wrapped-client.js";

let server: TestServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

/** Patient: a busy machine is no outage. */
const timeoutMs = 10_000;
const session = (id: string) => ({ id, userId: "u", payload: "p", idleMs: 60_000, absoluteMs: 60_000 });

it("needs no more permissions than the README says, and says BACKEND without them", async () => {
  const admin = new Redis(server.url);
  const documented = "~shop#* +@string +@sortedset +@keyspace +@scripting +@connection +time +info".split(" ");
  await admin.call("ACL", "SETUSER", "shop", "on", ">secret", ...documented);
  await admin.call("ACL", "SETUSER", "reader", "on", ">secret", "~shop#*", "+@read", "+@connection", "+info", "+time");
  admin.disconnect();

  const store = RedisStore.fromUrl(server.url.replace("//", "//shop:secret@"), { prefix: "shop", timeoutMs });
  expect((await store.create(session("a"))).status).toBe("created");
  expect((await store.update("a", { payload: "q", userId: "v" })).status).toBe("updated");
  expect(await store.touch("a", { idleMs: 30_000 })).toBe(true);
  expect((await store.rename("a", "b")).status).toBe("renamed");
  expect((await store.listByUser("v")).length).toBe(1);
  for await (const { id } of store.scan()) expect(id).toBe("b");
  expect((await store.count()).sessions).toBe(1);
  expect((await store.destroyByUser("v")).length).toBe(1);
  await store.clear();
  await store.close();

  const other = RedisStore.fromUrl(server.url.replace("//", "//shop:secret@"), { prefix: "other", timeoutMs });
  await expect(other.get("a")).rejects.toMatchObject({ code: "BACKEND" });
  await other.close();
  const reader = RedisStore.fromUrl(server.url.replace("//", "//reader:secret@"), { prefix: "shop", timeoutMs });
  await expect(reader.create(session("a"))).rejects.toMatchObject({ code: "BACKEND", outcomeUnknown: false });
  await reader.close();
});

it.each([
  ["EVAL", "+@all -eval -evalsha", "EVALSHA"],
  ["commands that scripts use", "+@all -zadd", /ZADD|a command that scripts use/],
  ["the keys of the prefix", "+@all resetkeys ~other#*", "the keys of the prefix"],
])("without %s a write is BACKEND, names it, and stores nothing", async (_what, rules, named) => {
  const admin = new Redis(server.url);
  await admin.flushall();
  await admin.call("ACL", "SETUSER", "limited", "reset", "on", ">secret", "~shop#*", ...rules.split(" "));
  const store = RedisStore.fromUrl(server.url.replace("//", "//limited:secret@"), { prefix: "shop", timeoutMs });
  const error: unknown = await store.create(session("a")).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code: "BACKEND", retryable: false, outcomeUnknown: false });
  expect((error as Error).message).toMatch(named);
  expect(await admin.dbsize()).toBe(0);
  await store.close();
  admin.disconnect();
});

it("asks for the server's settings once where it may not", async () => {
  const admin = new Redis(server.url);
  await admin.call("ACL", "SETUSER", "uninformed", "on", ">secret", "~shop#*", "+@all", "-info");
  admin.disconnect();
  const client = new Redis(server.url.replace("//", "//uninformed:secret@"), {
    enableReadyCheck: false,
    autoResendUnfulfilledCommands: false,
  });
  let asked = 0;
  const store = new RedisStore({
    prefix: "shop",
    timeoutMs,
    duplicate: false,
    client: wrapClient(client, (command, send) => {
      if (command === "INFO") asked++;
      return send();
    }),
  });
  for (let n = 0; n < 3; n++) await store.get("a");
  client.disconnect();
  expect(asked).toBe(1);
});
