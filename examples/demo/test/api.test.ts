import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Demo, startDemo } from "../src/server.js";
import { Client, type ListedSession } from "./client.js";

let demo: Demo;
beforeAll(async () => {
  demo = await startDemo({ port: 0, secret: "test", storeUrl: "memory:", warnings: [] });
});
afterAll(() => demo.stop());

test("a person logs in, comes back, sees their sessions, ends one, and logs out", async () => {
  const { url } = demo;
  const [laptop, phone] = [new Client("laptop"), new Client("phone")];
  await laptop.login(url);
  await laptop.json("POST", `${url}/preferences`, { theme: "dark" });
  expect(await laptop.json("GET", `${url}/profile`)).toMatchObject({
    user: { name: "admin" },
    loginCount: 1,
    loggedInAt: expect.stringMatching(/^\d{4}-/),
    preferences: { theme: "dark" },
    lastActivityAt: expect.stringMatching(/^\d{4}-/),
  });

  await phone.login(url);
  const listed = await phone.json<ListedSession[]>("GET", `${url}/sessions`);
  expect(listed.map(({ userAgent, current }) => [userAgent, current])).toEqual([
    ["laptop", false],
    ["phone", true],
  ]);
  for (const session of listed) {
    expect(session).toMatchObject({ ip: expect.stringContaining("127.0.0.1"), createdAt: expect.any(Number) });
    expect(laptop.cookie).not.toContain(session.id);
  }

  expect((await phone.send("DELETE", `${url}/sessions/${listed[0]?.id}`)).status).toBe(204);
  expect((await laptop.send("GET", `${url}/profile`)).status).toBe(401);

  const { cookie } = phone;
  expect((await phone.send("POST", `${url}/logout`, {})).status).toBe(204);
  const stolen = new Client();
  stolen.cookie = cookie;
  expect((await stolen.send("GET", `${url}/profile`)).status).toBe(401);
});

test("end-others keeps the session that asks", async () => {
  const { url } = demo;
  const clients = [new Client("a"), new Client("b"), new Client("c")] as const;
  for (const client of clients) await client.login(url);
  expect(await clients[2].json("POST", `${url}/sessions/end-others`, {})).toEqual({ ended: 2 });
  const statuses = await Promise.all(
    clients.map(async (client) => (await client.send("GET", `${url}/profile`)).status),
  );
  expect(statuses).toEqual([401, 401, 200]);
});

test("events tell of the user's other sessions, and end with their own", async () => {
  const { url } = demo;
  const [laptop, phone] = [new Client("laptop"), new Client("phone")];
  await laptop.login(url);
  const events = await laptop.send("GET", `${url}/events`);
  expect(events.headers.get("content-type")).toMatch(/^text\/event-stream/);
  await phone.login(url);
  await phone.json("POST", `${url}/sessions/end-others`, {});
  expect(await events.text()).toMatch(/^(event: changed\ndata: changed\n\n)+event: ended\ndata: ended\n\n$/);
});

test("a demo that stops ends its event streams, and does not wait for them", async () => {
  const own = await startDemo({ port: 0, secret: "test", storeUrl: "memory:", warnings: [] });
  const client = new Client();
  await client.login(own.url);
  const events = await client.send("GET", `${own.url}/events`);
  await Promise.all([own.stop(), expect(events.text()).resolves.toBe("")]);
});

test("login gives a new id, and counts", async () => {
  const client = new Client();
  await client.login(demo.url);
  const before = client.cookie;
  await client.login(demo.url);
  expect(client.cookie).not.toBe(before);
  expect(await client.json("GET", `${demo.url}/profile`)).toMatchObject({ loginCount: 2 });
  const fixed = new Client();
  fixed.cookie = before;
  expect((await fixed.send("GET", `${demo.url}/profile`)).status).toBe(401);
});

describe("without a login", () => {
  test.each([
    ["GET", "profile"],
    ["POST", "preferences"],
    ["POST", "logout"],
    ["GET", "sessions"],
    ["DELETE", "sessions/x"],
    ["POST", "sessions/end-others"],
    ["GET", "events"],
    ["POST", "race"],
  ])("%s /%s is 401 and stores nothing", async (method, path) => {
    const client = new Client();
    const response = await client.send(method, `${demo.url}/${path}`, method === "POST" ? {} : undefined);
    expect(response.status).toBe(401);
    expect(client.cookie).toBe("");
  });
});

test.each([
  ["a wrong password", { username: "admin", password: "wrong" }],
  ["an unknown user", { username: "root", password: "password" }],
  ["objects", { username: { $gt: "" }, password: { $gt: "" } }],
  ["nothing", {}],
])("login with %s is 401", async (_name, credentials) => {
  expect((await new Client().send("POST", `${demo.url}/login`, credentials)).status).toBe(401);
});

test("one user cannot end a session that is not theirs, and a request from another site does nothing", async () => {
  const client = new Client();
  await client.login(demo.url);
  expect((await client.send("DELETE", `${demo.url}/sessions/${"a".repeat(43)}`)).status).toBe(404);
  const response = await fetch(`${demo.url}/sessions/end-others`, {
    method: "POST",
    headers: { cookie: client.cookie, "sec-fetch-site": "cross-site" },
  });
  expect(response.status).toBe(403);
});

test("a body that is no JSON is 400, not 500", async () => {
  const response = await fetch(`${demo.url}/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{",
  });
  expect(response.status).toBe(400);
});

test.each([
  ["http", false],
  ["https", true],
])("the cookie of a login over %s: secure %s, for this site, out of reach of scripts", async (protocol, secure) => {
  const response = await fetch(`${demo.url}/login`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-forwarded-proto": protocol },
    body: JSON.stringify({ username: "admin", password: "password" }),
  });
  const cookie = response.headers.getSetCookie()[0] ?? "";
  expect(cookie).toMatch(/; HttpOnly; .*SameSite=Lax/);
  expect(cookie.includes("; Secure")).toBe(secure);
});
