import { PassThrough } from "node:stream";
import { tokenToId } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { expect, onTestFinished, test } from "vitest";
import { createApp } from "../src/app.js";
import { Client, type LogLine } from "./client.js";

async function start(): Promise<{ url: string; lines: () => Promise<LogLine[]> }> {
  const log = new PassThrough();
  let text = "";
  log.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const secret = "a secret of at least thirty-two bytes";
  const app = await createApp({ store: new MemoryStore(), secret, secure: false, log });
  onTestFinished(() => app.close());
  let requests = 0;
  app.server.on("request", () => {
    requests += 1;
  });
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  const written = (): LogLine[] =>
    text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as LogLine)
      // Fastify's own word on where it listens.
      .filter(({ msg }) => !msg.startsWith("Server listening"));
  const completed = (): number => written().filter(({ msg }) => msg === "request completed").length;
  return {
    url,
    lines: async () => {
      // A client has its answer before the server hears that it was sent.
      await expect.poll(completed).toBe(requests);
      return written();
    },
  };
}

test("two devices log in, see each other, and are logged out; each log line has the ids of its own request", async () => {
  const { url, lines } = await start();
  const [laptop, phone] = [new Client(url, "laptop"), new Client(url, "phone")];

  expect((await laptop.send("GET", "/profile")).status).toBe(401);
  expect((await laptop.login("wrong")).status).toBe(401);
  expect(laptop.cookie).toBe("");
  expect((await laptop.login()).status).toBe(200);
  expect((await phone.login()).status).toBe(200);
  const [laptopId, phoneId] = [laptop.sessionId, phone.sessionId];

  expect(await (await laptop.send("POST", "/preferences", { theme: "dark" })).json()).toEqual({ theme: "dark" });
  expect(await (await laptop.send("GET", "/profile")).json()).toEqual({
    user: { id: "1", name: "admin" },
    loginCount: 1,
    preferences: { theme: "dark" },
  });
  expect(await (await phone.send("GET", "/sessions")).json()).toMatchObject([
    { id: laptopId, current: false, metadata: { userAgent: "laptop", ip: "127.0.0.1" } },
    { id: phoneId, current: true, metadata: { userAgent: "phone" } },
  ]);

  expect((await phone.send("DELETE", `/sessions/${"a".repeat(43)}`)).status).toBe(404);
  expect((await phone.send("DELETE", `/sessions/${laptopId}`)).status).toBe(204);
  expect((await laptop.send("GET", "/profile")).status).toBe(401);

  await laptop.login();
  const laptopAgain = laptop.sessionId;
  const stolen = phone.cookie;
  expect((await phone.send("POST", "/logout")).status).toBe(204);
  expect(phone.cookie).toBe("");
  phone.cookie = stolen;
  expect((await phone.send("GET", "/profile")).status).toBe(401);

  await phone.login();
  const phoneAgain = phone.sessionId;
  expect(await (await phone.send("POST", "/logout-everywhere")).json()).toEqual({ ended: 2 });
  expect((await laptop.send("GET", "/profile")).status).toBe(401);

  const seen = await lines();
  for (const line of seen) expect(line.requestId, JSON.stringify(line)).toMatch(/^[0-9a-f-]{36}$/);
  const requests = new Set(seen.map(({ requestId }) => requestId));
  expect(seen.filter(({ msg }) => msg === "request completed")).toHaveLength(requests.size);

  const logins = seen.filter(({ msg }) => msg === "logged in");
  expect(logins.map(({ sessionId, userId }) => [sessionId, userId])).toEqual(
    [laptopId, phoneId, laptopAgain, phoneAgain].map((id) => [id, "1"]),
  );
  // Each end is on the account of the session that asked for it, in the request that did.
  const ends = seen.filter(({ msg }) => msg === "session ended");
  expect(ends.map(({ ended, sessionId, userId }) => [ended, sessionId, userId])).toEqual([
    [laptopId, phoneId, "1"],
    [phoneId, phoneId, "1"],
    [laptopAgain, phoneAgain, "1"],
    [phoneAgain, phoneAgain, "1"],
  ]);
  expect(seen.find(({ route }) => route === "/preferences")).toMatchObject({ sessionId: laptopId, userId: "1" });
  // After a logout there is no session any more.
  expect(seen.find(({ route }) => route === "/logout")).not.toHaveProperty("sessionId");
  for (const token of [...laptop.tokens, ...phone.tokens]) {
    expect(JSON.stringify(seen)).not.toContain(token);
    expect(JSON.stringify(seen)).toContain(tokenToId(token));
  }
});

test("of requests that interleave every log line names its own session", async () => {
  const { url, lines } = await start();
  const clients = Array.from({ length: 5 }, (_, n) => new Client(url, `device ${n}`));
  await Promise.all(clients.map((client) => client.login()));
  await Promise.all(clients.flatMap((client) => Array.from({ length: 20 }, () => client.send("GET", "/sessions"))));
  const answered = (await lines()).filter(({ route }) => route === "/sessions");
  for (const { sessionId } of clients) {
    expect(answered.filter((line) => line.sessionId === sessionId)).toHaveLength(20);
  }
});

test("a login that fails its schema is 400, and logs no password", async () => {
  const { url, lines } = await start();
  const client = new Client(url);
  expect((await client.send("POST", "/login", { username: { $gt: "" }, password: "hunter2" })).status).toBe(400);
  expect(JSON.stringify(await lines())).not.toContain("hunter2");
});
