import { execFileSync } from "node:child_process";
import { chownSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PostgresStore } from "@sojourn/postgres";
import { findBinary, freePort, startPostgres, unprivilegedUser } from "@sojourn/test-fixtures";
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { openPool } from "./harness.js";

const server = await startPostgres({ password: "first" });
const admin = openPool(server.url);
afterAll(async () => {
  await admin.end();
  await server.stop();
});

const timeoutMs = 10_000;
const table = "by_url";

test("options of pg go before those of the URL", async () => {
  const url = `${server.url}?application_name=theirs`;
  const store = PostgresStore.fromUrl(url, { table, timeoutMs, driverOptions: { application_name: "ours", max: 2 } });
  await store.ensureSchema();
  await Promise.all(Array.from({ length: 8 }, () => store.count()));
  const { rows } = await admin.query(
    "SELECT application_name, count(*)::int FROM pg_stat_activity WHERE application_name IN ('ours', 'theirs') GROUP BY 1",
  );
  expect(rows).toEqual([{ application_name: "ours", count: 2 }]);
  await store.close();
});

test("credentials that rotate are asked for before each new connection", async () => {
  const url = new URL(server.url);
  url.username = "nobody";
  url.password = "out of date";
  let password = "one";
  await admin.query("CREATE ROLE rotating LOGIN SUPERUSER PASSWORD 'one'");
  const store = PostgresStore.fromUrl(url.href, {
    table,
    timeoutMs,
    credentials: async () => ({ username: "rotating", password }),
  });
  await store.ensureSchema();
  await admin.query("ALTER ROLE rotating PASSWORD 'two'");
  await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'");
  await expect.poll(() => store.count().catch((error: unknown) => error)).toMatchObject({ code: "BACKEND" });
  password = "two";
  expect(await store.count()).toMatchObject({ sessions: 0 });
  await store.close();
});

test("credentials that fail are UNAVAILABLE with their error as cause, and are asked for again", async () => {
  const outage = new Error("the vault is closed");
  const answers = [() => Promise.reject(outage), () => new Promise<never>(() => {}), () => ({ password: "first" })];
  const store = PostgresStore.fromUrl(server.url, {
    table,
    timeoutMs: 500,
    driverOptions: { max: 1 },
    credentials: () => answers.shift()?.() ?? { password: "first" },
  });
  const failed = { code: "UNAVAILABLE", outcomeUnknown: false };
  await expect(store.count()).rejects.toMatchObject({ ...failed, cause: outage });
  await expect(store.count()).rejects.toMatchObject(failed);
  await expect.poll(() => store.count().catch((error: unknown) => error)).toMatchObject({ sessions: 0 });
  await store.close();
});

test("credentials as a string in place of an object are INVALID_OPTION, without showing it", async () => {
  const store = PostgresStore.fromUrl(server.url, { timeoutMs, credentials: (() => "first") as never });
  await expect(store.count()).rejects.toMatchObject({
    code: "INVALID_OPTION",
    message: expect.stringMatching(/"credentials" must return \{ username\?, password \}.*returned a string$/),
  });
  await store.close();
});

test("the last error of a connection is the cause of UNAVAILABLE", async () => {
  const store = PostgresStore.fromUrl(`postgres://127.0.0.1:${await freePort()}/db`, { timeoutMs });
  await expect(store.get("a")).rejects.toMatchObject({ code: "UNAVAILABLE", cause: { code: "ECONNREFUSED" } });
  await store.close();
  const unnamed = PostgresStore.fromUrl("postgres://no-such-host.invalid/db", { timeoutMs });
  await expect(unnamed.get("a")).rejects.toMatchObject({ code: "UNAVAILABLE", cause: { code: /ENOTFOUND|EAI_AGAIN/ } });
  await unnamed.close();
});

const openssl = findBinary(["openssl"]);

describe.skipIf(openssl === undefined)("by TLS (needs openssl)", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sojourn-certificate-"));
  const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const files = ["-keyout", key, "-out", cert, "-days", "2", "-nodes"];
  execFileSync(openssl ?? "", ["req", "-x509", "-newkey", "rsa:2048", ...files, ...subject], { stdio: "ignore" });
  const user = unprivilegedUser("postgres");
  if (user !== undefined) for (const path of [dir, cert, key]) chownSync(path, user.uid, user.gid);
  const encrypted = await startPostgres({ settings: { ssl: "on", ssl_cert_file: cert, ssl_key_file: key } });
  afterAll(async () => {
    await encrypted.stop();
    rmSync(dir, { recursive: true });
  });

  test("a certificate that is refused is BACKEND, and says so", async () => {
    const store = PostgresStore.fromUrl(`${encrypted.url}?sslmode=verify-full`, { timeoutMs });
    await expect(store.get("a")).rejects.toMatchObject({
      code: "BACKEND",
      retryable: false,
      message: expect.stringContaining("certificate"),
      cause: { code: "DEPTH_ZERO_SELF_SIGNED_CERT" },
    });
    await store.close();
  });

  test("a server without TLS is BACKEND, and says so", async () => {
    const store = PostgresStore.fromUrl(`${server.url}?sslmode=verify-full`, { timeoutMs });
    await expect(store.get("a")).rejects.toMatchObject({ code: "BACKEND", message: expect.stringContaining("TLS") });
    await store.close();
  });

  test.each([
    ["sslrootcert in the URL", `?sslmode=verify-full&sslrootcert=${encodeURIComponent(cert)}`, {}],
    ["ssl.ca in the options", "?sslmode=verify-full", { ssl: { ca: readFileSync(cert, "utf8") } }],
  ])("%s admits the server, and a statement that times out is cancelled", async (_, parameters, driverOptions) => {
    const store = PostgresStore.fromUrl(encrypted.url + parameters, { table, timeoutMs: 1_000, driverOptions });
    await store.ensureSchema();
    const holder = new pg.Client(encrypted.url);
    await holder.connect();
    await holder.query(`BEGIN; LOCK TABLE ${table}`);
    await expect(store.get("a")).rejects.toMatchObject({ code: "TIMEOUT" });
    const waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    await expect.poll(async () => (await holder.query(waiting)).rowCount).toBe(0);
    await holder.query("ROLLBACK");
    await holder.end();
    await store.close();
  });
});
