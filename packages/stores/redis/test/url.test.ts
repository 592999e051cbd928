import { fork } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { createServer } from "node:tls";
import { fileURLToPath } from "node:url";
import { freePort, makeCertificate, startRedis, type TestServer, whyNoCertificate } from "@sojourn/test-fixtures";
import { Cluster, Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { RedisStore, type RedisUrlOptions } from "../src/index.js";
import { readUrl } from "../src/url.js";

const session = (id: string, userId?: string) => ({ id, userId, payload: "p", idleMs: 600_000, absoluteMs: 600_000 });

let server: TestServer;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  server = await startRedis();
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(() => server.stop());

function open(url: string, options: RedisUrlOptions = {}): RedisStore {
  const store = RedisStore.fromUrl(url, { timeoutMs: 5_000, ...options });
  closing.push(() => store.close());
  return store;
}

describe("a URL", () => {
  it.each([
    ["redis://localhost", { host: "localhost", port: 6379, db: 0 }],
    ["redis://localhost/", { host: "localhost", port: 6379, db: 0 }],
    ["redis://:p%25w@localhost:7000/3", { host: "localhost", port: 7000, db: 3, password: "p%w" }],
    [
      "rediss://u:p@[::1]?family=6",
      { host: "::1", port: 6379, db: 0, username: "u", password: "p", tls: {}, family: 6 },
    ],
  ])("%s names a server and a database", (url, options) => {
    expect(readUrl(url)).toEqual(options);
  });

  it.each([
    ["", "redis: or rediss:"],
    ["localhost", "redis: or rediss:"],
    ["http://localhost", "redis: or rediss:"],
    ["redis//x", "redis: or rediss:"],
    ["redis://", "must name a host"],
    ["redis://localhost/sessions", "the number of a database"],
    ["redis://localhost/1/2", "the number of a database"],
    ["redis://localhost/-1", "the number of a database"],
    ["redis://:secret%@localhost", "percent-encoded"],
    ["redis://localhost?ssl_cert_reqs=none", '"ssl_cert_reqs"'],
    ["redis://localhost?family=7", '"family"'],
  ])("%s is refused, without showing it", (url, words) => {
    const parse = () => RedisStore.fromUrl(url);
    expect(parse).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    expect(parse).toThrow(words);
    expect(parse).not.toThrow(/secret/);
  });

  it("of a database that the server does not have is BACKEND, and writes into no other", async () => {
    const admin = new Redis(server.url);
    closing.push(() => admin.disconnect());
    await admin.flushall();
    for (const store of [
      open(`${server.url}/99`),
      new RedisStore({ client: new Redis(`${server.url}/99`, { lazyConnect: true }), timeoutMs: 5_000 }),
    ]) {
      closing.push(() => store.close());
      await expect(store.create(session("a"))).rejects.toMatchObject({ code: "BACKEND", outcomeUnknown: false });
    }
    await expect(open(`${server.url}/99`).get("a")).rejects.toThrow("no database of this number");
    expect(await admin.dbsize()).toBe(0);
    expect((await open(`${server.url}/3`).create(session("a"))).status).toBe("created");
    expect(await admin.info("keyspace")).toContain("db3:keys=1");
  });
});

describe("an attempt to connect that fails", () => {
  it.each([
    ["a refused port", async () => `redis://127.0.0.1:${await freePort()}`, "ECONNREFUSED"],
    ["an unknown host", async () => "redis://unknown.invalid", /^(ENOTFOUND|EAI_AGAIN)$/],
  ])("keeps the reason: %s", async (_name, url, code) => {
    const error = (await open(await url())
      .create(session("a"))
      .catch((cause: unknown) => cause)) as {
      cause?: { code?: string };
      message: string;
    };
    expect(error).toMatchObject({ code: "UNAVAILABLE", retryable: true, outcomeUnknown: false });
    expect(error.cause?.code).toMatch(code);
    expect(error.message).toMatch(error.cause?.code ?? "none");
  });

  it("is BACKEND, and not retryable, with a wrong password", async () => {
    const locked = await startRedis({ args: ["--requirepass", "right"], password: "right" });
    closing.push(() => locked.stop());
    const store = open(locked.url.replace("right", "wr0ng"));
    const backend = { code: "BACKEND", retryable: false };
    const refused = { ...backend, message: expect.stringContaining("refused the user or the password") };
    await expect(store.create(session("a"))).rejects.toMatchObject(refused);
    const required = { ...backend, message: expect.stringContaining("requires a password") };
    const without = open(`redis://127.0.0.1:${locked.port}`);
    await expect(without.create(session("a"))).rejects.toMatchObject(required);
  });
});

const noCertificate = whyNoCertificate();
describe.skipIf(noCertificate !== undefined)(`TLS${noCertificate ? `: ${noCertificate}` : ""}`, () => {
  async function startTls(): Promise<{ url: string; ca: string }> {
    const { cert, key } = makeCertificate();
    const terminator = createServer({ cert, key }, (socket) => {
      const upstream = connect(server.port, "127.0.0.1");
      for (const each of [socket, upstream]) each.on("error", () => {});
      socket.pipe(upstream).pipe(socket);
    });
    terminator.on("tlsClientError", () => {});
    await once(terminator.listen(0, "127.0.0.1"), "listening");
    closing.push(() => terminator.close());
    // It listens on a port, not on a path.
    return { url: `rediss://localhost:${(terminator.address() as AddressInfo).port}`, ca: cert };
  }

  it("connects when the options of the driver name the authority", async () => {
    const { url, ca } = await startTls();
    const store = open(url, { driverOptions: { tls: { ca } }, prefix: "tls" });
    expect((await store.create(session("a"))).status).toBe("created");
  });

  it("is BACKEND, and not retryable, when the certificate is refused", async () => {
    const { url } = await startTls();
    const error: unknown = await open(url)
      .create(session("a"))
      .catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "BACKEND", retryable: false, cause: { code: "DEPTH_ZERO_SELF_SIGNED_CERT" } });
    expect(String(error)).toContain("certificate was refused");
  });

  it("is UNAVAILABLE, with the reason, where the server does not speak TLS", async () => {
    const store = open(server.url.replace("redis:", "rediss:"), { timeoutMs: 1_000 });
    for (const id of ["first", "second"]) {
      await expect(store.create(session(id))).rejects.toMatchObject({
        code: "UNAVAILABLE",
        outcomeUnknown: false,
        cause: { message: expect.stringContaining("does the port speak TLS?") },
      });
    }
  });
});

describe("options for the driver", () => {
  it("reach it, but for those that decide whether a command is sent twice", async () => {
    const admin = new Redis(server.url);
    closing.push(() => admin.disconnect());
    const store = open(server.url, {
      prefix: "driver options",
      driverOptions: { connectionName: "sessions", autoResendUnfulfilledCommands: true, enableOfflineQueue: true },
    });
    await store.create(session("a"));
    expect(String(await admin.client("LIST"))).toContain("name=sessions");
  });

  it.each([
    ["options", null],
    ["driverOptions", { driverOptions: 7 }],
    ["credentials", { credentials: "secret" }],
    ["client", { client: {} }],
    ["tls", { tls: {} }],
  ])("%s is refused: %o", (option, options) => {
    // What a caller without types may pass.
    const open = () => RedisStore.fromUrl(server.url, options as RedisUrlOptions);
    expect(open).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    expect(open).toThrow(option);
    expect(open).not.toThrow(/secret/);
  });

  it("ask for credentials before each connection", async () => {
    const locked = await startRedis({ args: ["--requirepass", "token 1"], password: "token 1" });
    const admin = new Redis(locked.url);
    closing.push(
      () => admin.disconnect(),
      () => locked.stop(),
    );
    let asked = 0;
    let password = "token 1";
    const store = open(`redis://127.0.0.1:${locked.port}`, {
      credentials: async () => {
        asked++;
        return { password };
      },
    });
    await Promise.all(["a", "b"].map((id) => store.create(session(id))));
    expect(asked).toBe(1);
    await admin.config("SET", "requirepass", "token 2");
    password = "token 2";
    await admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    expect((await store.get("a"))?.id).toBe("a");
    expect(asked).toBe(2);
  });
});

it("credentials as a string in place of an object are INVALID_OPTION, without showing it", async () => {
  const error: unknown = await open(server.url, { credentials: (() => "s3cret") as never })
    .get("a")
    .catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code: "INVALID_OPTION" });
  expect(String(error)).toMatch(/"credentials" must return \{ username\?, password \}.*returned a string$/);
});

it("a Cluster client on a server without cluster mode is BACKEND, and says so", async () => {
  const client = new Cluster([{ host: "127.0.0.1", port: server.port }], { lazyConnect: true });
  const store = new RedisStore({ client, timeoutMs: 5_000 });
  closing.push(() => store.close());
  await expect(store.get("a")).rejects.toMatchObject({
    code: "BACKEND",
    message: expect.stringContaining("not a node of a Cluster; use a Redis client"),
  });
});

it("a store that is not closed does not keep its process alive, and a call under way does", async () => {
  const script = fileURLToPath(new URL("./unclosed-process.ts", import.meta.url));
  const root = fileURLToPath(new URL("../../../..", import.meta.url));
  // Of the sources, as the tests are; here without vitest's own arguments.
  const child = fork(script, [server.url], {
    cwd: root,
    execArgv: ["--import", "tsx"],
    stdio: ["ignore", "pipe", 2, "ipc"],
  });
  let output = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const [code] = await once(child, "exit");
  expect({ code, output }).toEqual({ code: 0, output: "counted 2\n" });
});
