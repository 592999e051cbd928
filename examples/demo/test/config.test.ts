import { readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { expect, test } from "vitest";
import { readConfig } from "../src/config.js";
import { openStore } from "../src/stores.js";

test("the defaults are those of a first try", () => {
  const config = readConfig({});
  expect(config).toMatchObject({ port: 3000, storeUrl: "memory:" });
  expect(config.secret).toHaveLength(43);
  expect(config.warnings).toHaveLength(1);
});

test("the example of a .env file is what a first try uses", () => {
  const example = parseEnv(readFileSync(new URL("../../../.env.example", import.meta.url), "utf8"));
  expect(Object.keys(example).sort()).toEqual(["PORT", "SESSION_SECRET", "SESSION_STORE"]);
  expect(readConfig(example)).toMatchObject({ port: 3000, storeUrl: "memory:", warnings: [expect.any(String)] });
});

test("a missing secret in production is an error that says how to make one", () => {
  expect(() => readConfig({ NODE_ENV: "production" })).toThrow(/SESSION_SECRET is not set.*\n.*randomBytes/);
  expect(readConfig({ NODE_ENV: "production", SESSION_SECRET: "s" })).toMatchObject({ secret: "s", warnings: [] });
});

test.each(["", "http", "-1", "65536", "1.5"])("the port %j is refused", (PORT) => {
  expect(() => readConfig({ PORT })).toThrow("PORT must be a number from 0 to 65535");
});

test("a store of an unknown kind is refused without showing its URL", async () => {
  await expect(openStore("oracle://user:secret@host")).rejects.toThrow(
    /begin with one of memory: .* received "oracle:"$/,
  );
});
