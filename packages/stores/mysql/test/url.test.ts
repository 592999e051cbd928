import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { poolOptionsOf } from "../src/url.js";

const dir = await mkdtemp(join(tmpdir(), "sojourn-url-"));
const ca = join(dir, "ca.pem");
writeFileSync(ca, "CERTIFICATE");
afterAll(() => rm(dir, { recursive: true }));

const at = "mysql://u:p@db.example:3307/app";

test("reads host, port, user, password and database", () => {
  expect(poolOptionsOf("mariadb://us%40er:p%25%2F@[::1]/a%20b")).toEqual({
    host: "::1",
    port: 3306,
    user: "us@er",
    password: "p%/",
    database: "a b",
  });
});

test.each([
  ["ssl-mode=REQUIRED", { rejectUnauthorized: false }],
  ["sslmode=require", { rejectUnauthorized: false }],
  ["ssl-mode=VERIFY_CA", { rejectUnauthorized: true }],
  ["sslmode=verify-ca", { rejectUnauthorized: true }],
  ["ssl-mode=VERIFY_IDENTITY", { rejectUnauthorized: true, verifyIdentity: true }],
  ["sslmode=verify-full", { rejectUnauthorized: true, verifyIdentity: true }],
  ["sslaccept=strict", { rejectUnauthorized: true, verifyIdentity: true }],
  ["sslaccept=accept_invalid_certs", { rejectUnauthorized: false }],
  ["ssl=true", { rejectUnauthorized: true }],
  ['ssl={"minVersion":"TLSv1.3"}', { minVersion: "TLSv1.3" }],
  [`ssl-mode=VERIFY_CA&ssl-ca=${ca}`, { rejectUnauthorized: true, ca: "CERTIFICATE" }],
  [`ssl-ca=${ca}`, { ca: "CERTIFICATE" }],
  ["ssl-mode=DISABLED", undefined],
  ["ssl=false", undefined],
])("%s becomes TLS options of the driver", (parameters, ssl) => {
  expect(poolOptionsOf(`${at}?${parameters}`).ssl).toEqual(ssl);
});

test("options of the caller come before those of the URL", () => {
  const options = poolOptionsOf(`${at}?connectionLimit=3&charset=utf8mb4&ssl-mode=VERIFY_CA`, {
    connectionLimit: 5,
    ssl: { ca: "OTHER" },
  });
  expect(options).toMatchObject({
    connectionLimit: 5,
    charset: "utf8mb4",
    ssl: { ca: "OTHER", rejectUnauthorized: true },
  });
});

test.each([
  ["?ssl-mode=PREFERRED", /ssl-mode is one of DISABLED, .*received "PREFERRED"/],
  ["?sslmode=prefer", /sslmode is one of .*received "prefer"/],
  ["?sslaccept=maybe", /sslaccept is one of STRICT/],
  ["?ssl=5", /ssl is true, false or a JSON object/],
  ["?ssl-mode=REQUIRED&ssl=false", /either switches TLS off or sets it/],
  [
    "?ssl-ca=/nowhere/ca.pem",
    /option "url parameter ssl-ca" must be the path of a file.*\/nowhere\/ca\.pem \(ENOENT\)/,
  ],
  ["?sslMode=REQUIRED", /parameters that are known.*received "sslMode"/],
  ["?requireSSL=true", /received "requireSSL"/],
])("refuses %s by name", (parameters, message) => {
  const read = () => poolOptionsOf(`${at}${parameters}`);
  expect(read).toThrow(message);
  expect(read).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
});

test("a percent sign that is not encoded is named, and the password is not shown", () => {
  const read = () => poolOptionsOf("mysql://u:secret%zz@h/d");
  expect(read).toThrow(/a URL whose password is percent-encoded, with %25 for a percent sign/);
  expect(read).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.not.stringContaining("secret") }),
  );
});
