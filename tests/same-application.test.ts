import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { Browser } from "@sojourn/test-fixtures";
import { describe, expect, onTestFinished, test } from "vitest";
import * as express from "./same-application/express.js";
import * as fastify from "./same-application/fastify.js";
import * as fetch from "./same-application/fetch.js";
import * as hono from "./same-application/hono.js";
import * as koa from "./same-application/koa.js";
import type { Shop } from "./same-application/shop.js";
import { root } from "./support.js";

/* One application in each framework: login, profile, cart, logout, my sessions. */

const applications = { express, fastify, koa, fetch, hono };
const names = { express: "Express", fastify: "Fastify", koa: "Koa", fetch: "Fetch", hono: "Hono" };

describe.each(Object.entries(applications))("%s", (_, { serve }) => {
  test("login, profile, cart, logout and my sessions", async () => {
    const manager = new SessionManager<Shop>({ store: new MemoryStore(), sweep: false });
    const server = serve(manager, "a secret of at least 32 characters");
    if (!server.listening) await once(server, "listening");
    onTestFinished(async () => {
      server.closeAllConnections();
      server.close();
      await manager.close();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const [laptop, phone] = [new Browser({ url }), new Browser({ url })];
    expect((await laptop.request("profile")).status).toBe(401);
    expect(laptop.cookie).toBeUndefined();
    await laptop.post("cart?item=book");
    const visitor = laptop.cookie;
    await laptop.post("login?user=ann");
    expect(laptop.cookie).not.toBe(visitor);
    expect(await laptop.get("profile")).toEqual({ userId: "ann" });
    expect(await laptop.post("cart?item=pen")).toEqual(["book", "pen"]);
    await phone.post("login?user=ann");
    expect(await phone.get("my-sessions")).toMatchObject([{ current: false }, { current: true }]);
    const loggedIn = laptop.cookie;
    await laptop.post("logout");
    expect((await new Browser({ url }, loggedIn).request("profile")).status).toBe(401);
    expect(await phone.get("my-sessions")).toMatchObject([{ current: true }]);
  });
});

test("docs/recipes.md shows the number of lines of each application", async () => {
  const rows = Object.keys(applications).map(async (name) => {
    const source = await readFile(`${root}/tests/same-application/${name}.ts`, "utf8");
    const lines = source.split("\n").filter((line) => line.trim() !== "");
    const start = lines.findIndex((line) => line.startsWith("export function serve"));
    const setUp = source.slice(source.indexOf("export function serve")).split("\n\n", 1)[0]?.split("\n") ?? [];
    // Without the line of the function and the one that makes the application.
    const sessions = setUp.filter((line) => !/export function serve|const app =/.test(line)).length;
    return `| [${names[name as keyof typeof names]}](../tests/same-application/${name}.ts) | ${sessions} | ${lines.length - start} |`;
  });
  const table = ["| | lines to set the sessions up | lines in all, without imports |", "| --- | --- | --- |"];
  expect(await readFile(`${root}/docs/recipes.md`, "utf8")).toContain(
    [...table, ...(await Promise.all(rows))].join("\n"),
  );
});
