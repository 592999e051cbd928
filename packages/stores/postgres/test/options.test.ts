import { PostgresStore, type PostgresStoreOptions, schemaSql } from "@sojourn/postgres";
import pg from "pg";
import { describe, expect, test } from "vitest";
import { namesOf } from "../src/names.js";

// It connects to nothing before the first operation, and there is none here.
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
  // Wrong on purpose, as from JavaScript.
  const options = { pool, [option]: value } as unknown as PostgresStoreOptions;
  expect(() => new PostgresStore(options)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(`"${option}"`) }),
  );
});

test("refuses an option that it does not know", () => {
  const options = { pool, prefix: "x" };
  expect(() => new PostgresStore(options)).toThrow(/unknown option "prefix"; the options are pool, schema/);
});

test.each([
  "mysql://root:secret@localhost",
  "postgres://root:secret@[localhost",
  "postgres://root:secret@localhost:99999",
])("an address that is refused is not shown: %s", (url) => {
  expect(() => PostgresStore.fromUrl(url)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.not.stringContaining("secret") }),
  );
});

test("schemaSql refuses what is no name", () => {
  expect(() => schemaSql({ table: "a\0" })).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
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
