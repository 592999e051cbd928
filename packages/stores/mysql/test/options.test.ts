import { MySQLStore, schemaSql } from "@sojourn/mysql";
import { createPool as createCallbackPool } from "mysql2";
import { createPool } from "mysql2/promise";
import { expect, test } from "vitest";

// A pool connects at its first use. Nothing listens there, and no test uses it.
const pool = createPool("mysql://nobody@127.0.0.1:1/nothing");

test("takes a pool of mysql2/promise and one of mysql2", () => {
  new MySQLStore({ pool });
  new MySQLStore({ pool: createCallbackPool("mysql://nobody@127.0.0.1:1/nothing") });
});

test.each([
  ["unknown option", { pool, tabel: "s" }, /unknown option "tabel"/],
  ["no options", undefined, /option "options" must be/],
  ["no pool", {}, /option "pool" must be a pool of mysql2.*received undefined/],
  ["something else as pool", { pool: { query() {} } }, /option "pool"/],
  ["timeoutMs 0", { pool, timeoutMs: 0 }, /option "timeoutMs".*received 0/],
  ["timeoutMs beyond a timer's range", { pool, timeoutMs: 2 ** 31 }, /option "timeoutMs"/],
  ["timeoutMs as text", { pool, timeoutMs: "2s" }, /option "timeoutMs".*received "2s"/],
  ["procedures as text", { pool, procedures: "no" }, /option "procedures" must be a boolean, received "no"/],
  ["empty table", { pool, table: "" }, /option "table".*received ""/],
  ["long table", { pool, table: "x".repeat(58) }, /option "table"/],
  ["table with NUL", { pool, table: "a\0b" }, /option "table"/],
  ["table that ends with a space", { pool, table: "a " }, /option "table"/],
  ["table beyond U+FFFF", { pool, table: "😀" }, /option "table"/],
  ["table with half a character", { pool, table: "\ud83d" }, /option "table"/],
])("refuses %s", (_, options, message) => {
  // JavaScript callers may pass anything.
  expect(() => new MySQLStore(options as never)).toThrow(message);
  expect(() => new MySQLStore(options as never)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
});

test.each(["postgres://u:secret@h/d", "secret", "mysql://u:secret@[h/d", 5, undefined])(
  "refuses %j as a URL",
  (url) => {
    const open = () => MySQLStore.fromUrl(url as never);
    expect(open).toThrow(/option "url" must be a URL such as mysql:/);
    expect(open).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    expect(open).toThrow(expect.objectContaining({ message: expect.not.stringContaining("secret") }));
  },
);

test.each([
  ["no object", null, /option "options" must be an object, received null/],
  [
    "an option of the constructor",
    { pool },
    /unknown option "pool"; the options are table, .*, driverOptions, credentials/,
  ],
  ["driver options as text", { driverOptions: "ssl" }, /option "driverOptions" must be an object/],
  ["a password in place of credentials", { credentials: "s3cret" }, /option "credentials" must be a function/],
])("fromUrl refuses %s", (_, options, message) => {
  const open = () => MySQLStore.fromUrl("mysql://h/d", options as never);
  expect(open).toThrow(message);
  expect(open).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  expect(open).not.toThrow(/s3cret/);
});

test.each([["sessions"], [{ tabel: "s" }], [null]])("the schema refuses %j", (options) => {
  expect(() => schemaSql(options as never)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
});

test("the schema names its procedures by a digest of the table, of which case is a part", () => {
  const names = (table: string) => schemaSql({ table }).flatMap((sql) => /PROCEDURE (`[^`]+`)/.exec(sql)?.[1] ?? []);
  const [upper, lower] = [names("Sessions"), names("sessions")];
  expect(upper).toHaveLength(11);
  expect(new Set([...upper, ...lower]).size).toBe(22);
  expect(upper.every((name) => name.length <= 66)).toBe(true);
});

test("the schema quotes its table", () => {
  const [, sessions, guards] = schemaSql({ table: "a`b; DROP TABLE c" });
  expect(sessions).toContain("CREATE TABLE IF NOT EXISTS `a``b; DROP TABLE c` (");
  expect(guards).toContain("CREATE TABLE IF NOT EXISTS `a``b; DROP TABLE c_guards` (");
});
