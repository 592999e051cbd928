import "reflect-metadata";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { INestApplication } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { FastifyAdapter, type NestFastifyApplication } from "@nestjs/platform-fastify";
import { SessionError } from "@sojourn/core";
import { sessionOf as expressSessionOf, expressSessions } from "@sojourn/express";
import { fastifySessions, sessionOf } from "@sojourn/fastify";
import { Browser } from "@sojourn/test-fixtures";
import express from "express";
import fastify from "fastify";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { WebSocket } from "ws";
import * as websockets from "./recipes/fastify-websocket.js";
import * as nest from "./recipes/nest.js";
import * as sockets from "./recipes/socket-io.js";
import { root } from "./support.js";

/* The recipes of docs/recipes.md, on the real packages. */

const secret = "a secret of at least 32 characters";

test.each(["nest", "socket-io", "fastify-websocket"])("docs/recipes.md shows tests/recipes/%s.ts", async (name) => {
  const recipe = await readFile(`${root}/tests/recipes/${name}.ts`, "utf8");
  expect(await readFile(`${root}/docs/recipes.md`, "utf8")).toContain(recipe);
});

describe.each<[string, () => Promise<INestApplication>]>([
  [
    "Express",
    async () => {
      const app = await NestFactory.create(nest.ShopModule, { logger: false });
      app.use(expressSessions({ manager: nest.manager, secret }));
      return app;
    },
  ],
  [
    "Fastify",
    async () => {
      const app = await NestFactory.create<NestFastifyApplication>(nest.ShopModule, new FastifyAdapter(), {
        logger: false,
      });
      await app.register(fastifySessions, { manager: nest.manager, secret });
      return app;
    },
  ],
])("Nest on %s", (_, create) => {
  async function serve(): Promise<Browser> {
    const app = await create();
    onTestFinished(() => app.close());
    await app.listen(0, "127.0.0.1");
    return new Browser({ url: `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}` });
  }

  test("the decorator passes the loaded session, and the guard requires a login", async () => {
    const browser = await serve();
    expect((await browser.request("add", "POST")).status).toBe(401);
    await browser.post("login");
    await browser.post("add");
    await browser.post("add");
    expect(await browser.get("cart")).toEqual(["book", "book"]);
    await nest.manager.destroyByUser("ann");
    expect((await browser.request("cart")).status).toBe(401);
  });

  test("a store that is down is a 503", async () => {
    const browser = await serve();
    await browser.post("login");
    const get = vi.spyOn(nest.manager, "get").mockRejectedValue(new SessionError("UNAVAILABLE", "down"));
    onTestFinished(() => get.mockRestore());
    expect(await browser.request("cart")).toEqual({
      status: 503,
      body: { statusCode: 503, message: "Service Unavailable" },
    });
  });
});

/** Serves socket.io beside an application for the logins. */
async function serveSocketIo(transport: string) {
  const app = express();
  app.use(sockets.sessions);
  app.post("/login", async (request, response) => {
    const session = await expressSessionOf(request, sockets.manager);
    await session.regenerate({ userId: "ann" });
    response.json("ok");
  });
  const server = createServer(app).listen(0, "127.0.0.1");
  await once(server, "listening");
  const socketServer = new Server(server);
  sockets.serveSockets(socketServer);
  onTestFinished(() => socketServer.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const browser = new Browser({ url });
  const connect = () => {
    const extraHeaders = browser.cookie === undefined ? {} : { cookie: browser.cookie };
    const client = io(url, { transports: [transport], extraHeaders, reconnection: false, forceNew: true });
    onTestFinished(() => void client.close());
    return client;
  };
  return { browser, connect };
}

describe.each(["polling", "websocket"])("socket.io over %s", (transport) => {
  test("a handshake without a login is refused", async () => {
    const { connect } = await serveSocketIo(transport);
    const [error] = await once(connect() as never, "connect_error");
    expect(error).toMatchObject({ message: "log in first" });
  });

  test("events at once lose no change, and the end of the session disconnects its sockets", async () => {
    const { browser, connect } = await serveSocketIo(transport);
    await browser.post("login");
    const [first, second] = [connect(), connect()];
    await Promise.all([once(first as never, "connect"), once(second as never, "connect")]);
    await Promise.all(["a", "b", "c"].map((item) => first.emitWithAck("add", item)));
    expect((await second.emitWithAck("add", "d")).toSorted()).toEqual(["a", "b", "c", "d"]);
    const left = [first, second].map((client) => once(client as never, "disconnect"));
    await sockets.manager.destroyByUser("ann");
    expect((await Promise.all(left)).map(([reason]) => reason)).toEqual([
      "io server disconnect",
      "io server disconnect",
    ]);
  });
});

describe("@fastify/websocket", () => {
  async function serve(): Promise<{ readonly browser: Browser; connect(): WebSocket }> {
    const app = fastify();
    await websockets.serveSockets(app);
    app.post("/login", async (request) => (await sessionOf(request, websockets.manager)).regenerate({ userId: "ann" }));
    app.post("/add", async (request) => {
      const { data } = await sessionOf(request, websockets.manager);
      data.cart = [...(data.cart ?? []), "book"];
    });
    onTestFinished(() => app.close());
    const url = await app.listen({ port: 0, host: "127.0.0.1" });
    const browser = new Browser({ url });
    const connect = (): WebSocket => {
      const headers = browser.cookie === undefined ? {} : { cookie: browser.cookie };
      const socket = new WebSocket(`${url.replace("http", "ws")}/live`, { headers });
      onTestFinished(() => socket.terminate());
      return socket;
    };
    return { browser, connect };
  }

  test("a socket without a login is closed", async () => {
    const { connect } = await serve();
    expect(await once(connect(), "close")).toMatchObject([4401, Buffer.from("log in again")]);
  });

  test("a socket reads the changes of requests, and is closed when the session ends or moves", async () => {
    const { browser, connect } = await serve();
    for (const end of [() => browser.post("login"), () => websockets.manager.destroyByUser("ann")]) {
      await browser.post("login");
      await browser.post("add");
      const socket = connect();
      await once(socket, "open");
      const answer = once(socket, "message");
      socket.send("cart");
      expect(String(await answer)).toContain("book");
      const closed = once(socket, "close");
      await end();
      expect(await closed).toMatchObject([4401, expect.anything()]);
    }
  });
});
