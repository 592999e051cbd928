import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { MySQLStore } from "@sojourn/mysql";
import { startMySQL, type TestServer } from "@sojourn/test-fixtures";
import type { PoolOptions } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openPool, openStore } from "./harness.js";

const hour = 3_600_000;
const session = { payload: "p", idleMs: hour, absoluteMs: hour };
const run = promisify(execFile);

const hasOpenSsl = await run("openssl", ["version"]).then(
  () => true,
  () => false,
);

describe.skipIf(!hasOpenSsl)("TLS", () => {
  let dir: string;
  let server: TestServer;
  let plain: TestServer;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "sojourn-tls-"));
    for (const name of ["server", "other"]) {
      const files = ["-keyout", join(dir, `${name}.key`), "-out", join(dir, `${name}.pem`)];
      const certificate = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"];
      await run("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...files, ...certificate]);
    }
    const args = [`--ssl-cert=${join(dir, "server.pem")}`, `--ssl-key=${join(dir, "server.key")}`];
    [server, plain] = await Promise.all([startMySQL({ args }), startMySQL()]);
    const admin = openPool(server.url);
    await openStore({ pool: admin, table: "secure" });
    await admin.query("CREATE USER encrypted@'127.0.0.1' REQUIRE SSL");
    await admin.query("GRANT ALL ON sojourn.* TO encrypted@'127.0.0.1'");
    await admin.end();
  });
  afterAll(async () => {
    await Promise.all([server.stop(), plain.stop()]);
    await rm(dir, { recursive: true });
  });

  const open = (
    parameters: string,
    { host = "127.0.0.1", driverOptions }: { host?: string; driverOptions?: PoolOptions } = {},
  ) =>
    MySQLStore.fromUrl(`mysql://encrypted@${host}:${server.port}/sojourn${parameters}`, {
      table: "secure",
      timeoutMs: 10_000,
      driverOptions,
    });

  /** The user may connect by TLS only, so an answer proves it. */
  test.each([
    ["?ssl-mode=REQUIRED", undefined],
    ["?sslmode=require", undefined],
    ["?sslaccept=accept_invalid_certs", undefined],
    ["?ssl-mode=VERIFY_CA", "server.pem"],
    ["?ssl-mode=VERIFY_IDENTITY", "server.pem"],
  ])("%s connects encrypted", async (parameters, ca) => {
    const file = ca === undefined ? "" : `&ssl-ca=${encodeURIComponent(join(dir, ca))}`;
    const store = open(parameters + file, { host: "localhost" });
    expect(await store.get("s")).toBeUndefined();
    await store.close();
  });

  test("a certificate that is refused is BACKEND, not retryable, with the reason as its cause", async () => {
    const refused = { code: "BACKEND", retryable: false, outcomeUnknown: false };
    const unknown = open("?ssl-mode=VERIFY_CA");
    await expect(unknown.create({ id: "s", ...session })).rejects.toMatchObject({
      ...refused,
      cause: expect.objectContaining({ message: expect.stringMatching(/self-signed certificate/) }),
    });
    const other = open(`?ssl-mode=VERIFY_CA&ssl-ca=${encodeURIComponent(join(dir, "other.pem"))}`);
    await expect(other.get("s")).rejects.toMatchObject(refused);
    await Promise.all([unknown.close(), other.close()]);
  });

  test("without TLS the server's refusal says so", async () => {
    const store = open("");
    await expect(store.get("s")).rejects.toMatchObject({ code: "BACKEND", retryable: false });
    await store.close();
  });

  test("a server without TLS is refused where the URL requires it", async () => {
    const store = MySQLStore.fromUrl(`${plain.url}?ssl-mode=REQUIRED`, { timeoutMs: 10_000 });
    await expect(store.get("s")).rejects.toMatchObject({
      code: "BACKEND",
      retryable: false,
      message: expect.stringContaining("offers no TLS"),
    });
    await store.close();
  });

  test("options of the driver reach the pool", async () => {
    const ca = await readFile(join(dir, "server.pem"));
    const store = open("", { driverOptions: { ssl: { ca }, connectionLimit: 1 } });
    expect(await Promise.all(["a", "b"].map((id) => store.destroy(id)))).toEqual([undefined, undefined]);
    await store.close();
  });
});

describe("credentials that rotate", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startMySQL();
    const admin = openPool(server.url);
    await openStore({ pool: admin, table: "rotated" });
    await admin.query("CREATE USER rotating@'127.0.0.1' IDENTIFIED BY 'first'");
    await admin.query("GRANT ALL ON sojourn.* TO rotating@'127.0.0.1'");
    await admin.end();
  });
  afterAll(() => server.stop());

  const urlOf = () => `mysql://rotating@127.0.0.1:${server.port}/sojourn`;

  test("are asked for once for each new connection", async () => {
    const passwords = ["first"];
    let asked = 0;
    const credentials = async () => {
      asked += 1;
      return { username: "rotating", password: passwords.at(-1) ?? "" };
    };
    const store = MySQLStore.fromUrl(urlOf().replace("rotating", "nobody"), {
      table: "rotated",
      timeoutMs: 10_000,
      credentials,
      driverOptions: { connectionLimit: 1 },
    });
    await store.create({ id: "s", ...session });
    await store.get("s");
    expect(asked).toBe(1);

    const admin = openPool(server.url);
    await admin.query("ALTER USER rotating@'127.0.0.1' IDENTIFIED BY 'second'");
    passwords.push("second");
    const [rows] = await admin.query("SELECT ID AS id FROM information_schema.PROCESSLIST WHERE USER = 'rotating'");
    for (const { id } of rows as { id: number }[]) await admin.query(`KILL ${id}`);
    await admin.end();
    await expect.poll(() => store.get("s").catch(() => "lost")).toMatchObject({ payload: "p" });
    expect(asked).toBe(2);
    await store.close();
  });

  test("that fail are UNAVAILABLE with their error as the cause, and are asked for again", async () => {
    let isBroken = true;
    const failure = new Error("the token service is down");
    const credentials = () => {
      if (isBroken) throw failure;
      return { password: "second" };
    };
    const store = MySQLStore.fromUrl(urlOf(), { table: "rotated", timeoutMs: 10_000, credentials });
    await expect(store.create({ id: "t", ...session })).rejects.toMatchObject({
      code: "UNAVAILABLE",
      outcomeUnknown: false,
      cause: failure,
    });
    isBroken = false;
    expect(await store.create({ id: "t", ...session })).toMatchObject({ status: "created" });
    await store.close();
  });

  test("that never arrive: UNAVAILABLE within the timeout", async () => {
    const store = MySQLStore.fromUrl(urlOf(), { timeoutMs: 200, credentials: () => new Promise<never>(() => {}) });
    await expect(store.get("s")).rejects.toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: false });
    await store.close();
  });

  test("as a string in place of an object are INVALID_OPTION, without showing it", async () => {
    const store = MySQLStore.fromUrl(urlOf(), { timeoutMs: 10_000, credentials: (() => "second") as never });
    await expect(store.get("s")).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringMatching(/"credentials" must return \{ username\?, password \}.*returned a string$/),
    });
    await store.close();
  });
});

test("the last error of a connection is the cause where nothing was sent in time", async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const address = silent.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const store = MySQLStore.fromUrl(`mysql://root@127.0.0.1:${port}/sojourn`, {
    timeoutMs: 300,
    driverOptions: { connectTimeout: 200, connectionLimit: 1 },
  });
  const timedOut = { code: "UNAVAILABLE", outcomeUnknown: false, cause: { code: "ETIMEDOUT" } };
  await expect(store.touch("s", { idleMs: 1 })).rejects.toMatchObject(timedOut);
  // The second one waits for the place of the first until its own deadline.
  const [first, second] = await Promise.allSettled([store.touch("a", { idleMs: 1 }), store.touch("b", { idleMs: 1 })]);
  for (const outcome of [first, second]) expect(outcome).toMatchObject({ status: "rejected", reason: timedOut });
  for (const socket of sockets) socket.destroy();
  silent.close();
  await store.close();
});
