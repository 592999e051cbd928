import { PostgresStore, type PostgresStoreOptions, type PostgresUrlOptions, schemaSql } from "@sojourn/postgres";
import pg from "pg";
import { describe, expect, test } from "vitest";
import { namesOf } from "../src/names.js";

// A pool connects at the first operation, and these tests have none.
const pool = new pg.Pool();

test.each([
  ["schema", ""],
  ["schema", "a\0b"],
  ["schema", "x".repeat(64)],
  ["table", "ü".repeat(32)],
  ["table", "\ud800"],
  ["table", 7],
  ["preparedStatements", "no"],
  ["timeoutMs", 0],
  ["timeoutMs", 1.5],
  ["timeoutMs", 2 ** 31],
  ["pool", {}],
  ["pool", undefined],
])("refuses %s %j", (option, value) => {
  // A wrong type, as JavaScript allows.
  const options = { pool, [option]: value } as unknown as PostgresStoreOptions;
  expect(() => new PostgresStore(options)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(`"${option}"`) }),
  );
});

test("refuses a client in place of a pool", () => {
  const options = { pool: new pg.Client() } as unknown as PostgresStoreOptions;
  expect(() => new PostgresStore(options)).toThrow(/option "pool" must be a Pool of pg, not a Client/);
});

test("refuses an option that it does not know", () => {
  const options = { pool, prefix: "x" };
  expect(() => new PostgresStore(options)).toThrow(/unknown option "prefix"; the options are pool, schema/);
});

describe("fromUrl", () => {
  test.each([
    "mysql://root:secret@localhost",
    "postgres://root:secret@[localhost",
    "postgres://root:secret@localhost:99999",
    "postgres://root:secret%E4@localhost",
  ])("does not show a URL that it refuses: %s", (url) => {
    expect(() => PostgresStore.fromUrl(url)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.not.stringContaining("secret") }),
    );
  });

  test.each(["sslrootcert", "sslcert", "sslkey"])("names a file of %s that cannot be read", (parameter) => {
    expect(() => PostgresStore.fromUrl(`postgres://root:secret@localhost/db?${parameter}=/no/such.pem`)).toThrow(
      expect.objectContaining({
        code: "INVALID_OPTION",
        message: '@sojourn/postgres: the file "/no/such.pem" that the URL names cannot be read (ENOENT)',
        cause: expect.objectContaining({ code: "ENOENT" }),
      }),
    );
  });

  test.each(["ssl-mode", "sslaccept", "tls", "sslcrl"])("refuses %s, which pg ignores", (parameter) => {
    expect(() => PostgresStore.fromUrl(`postgres://root:secret@localhost/db?${parameter}=REQUIRED`)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(`"${parameter}"`) }),
    );
  });

  test.each(["driverOptions", "credentials"])("refuses %s of another type", (option) => {
    // A wrong type, as JavaScript allows.
    const options = { [option]: "yes" } as unknown as PostgresUrlOptions;
    expect(() => PostgresStore.fromUrl("postgres://localhost", options)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(`"${option}"`) }),
    );
  });

  test("refuses null, and lists its own options for an unknown one", () => {
    const open = (options: unknown) => PostgresStore.fromUrl("postgres://localhost", options as PostgresUrlOptions);
    expect(() => open(null)).toThrow(/option "options" must be an object, received null/);
    expect(() => open({ pool })).toThrow(
      /unknown option "pool"; the options are schema, .*, driverOptions, credentials$/,
    );
  });

  test("takes parameters that managed services add to their URLs", async () => {
    const url = "postgres://u:p@localhost/db?sslmode=verify-full&channel_binding=require&pgbouncer=true";
    await PostgresStore.fromUrl(url).close();
  });
});

test.each([[{ table: "a\0" }], [{ tabel: "a" }], ["sessions"], [null]])("schemaSql refuses %j", (options) => {
  expect(() => schemaSql(options as never)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
});

describe("names", () => {
  const bytesOf = (quoted: string): number => Buffer.byteLength(quoted.replace(/^"public"\./, "").slice(1, -1));

  test("of what belongs to a table with a long name stay within 63 bytes and differ", () => {
    const derived = (table: string): string[] => {
      const { userIndex, sweepIndex, makeRoom, create, change, destroyByUser } = namesOf("public", table);
      return [userIndex, sweepIndex, makeRoom, create, change, destroyByUser];
    };
    const all = ["x".repeat(63), `${"x".repeat(62)}y`, "😀".repeat(15)].flatMap(derived);
    expect(new Set(all).size).toBe(all.length);
    for (const name of all) expect(bytesOf(name), name).toBeLessThanOrEqual(63);
  });

  test("are quoted, so that they end nowhere else", () => {
    expect(namesOf('a"b', 'c".d').table).toBe('"a""b"."c"".d"');
  });
});
