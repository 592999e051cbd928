import { Redis } from "ioredis";
import pg from "pg";
import { afterEach, describe, expect, it } from "vitest";
import {
  type ServerVersion,
  startPostgres,
  startRedis,
  type TestServer,
  testedVersions,
  whyMissing,
} from "../src/index.js";

let server: TestServer | undefined;
afterEach(() => server?.stop());

/** A test of one version, skipped with the reason where the version is missing. */
function itStarts(version: ServerVersion, test: () => Promise<void>): void {
  const reason = whyMissing(version);
  it.skipIf(reason !== undefined)(`starts ${version}${reason === undefined ? "" : `: ${reason}`}`, test);
}

describe("server versions", () => {
  it("tests the oldest and the newest by default, and all of them on request", () => {
    const before = process.env.SOJOURN_TEST_ALL_VERSIONS;
    try {
      delete process.env.SOJOURN_TEST_ALL_VERSIONS;
      expect(testedVersions("Redis", "Valkey")).toEqual(["Redis 6.2", "Valkey 9.1"]);
      process.env.SOJOURN_TEST_ALL_VERSIONS = "1";
      expect(testedVersions("PostgreSQL")).toEqual(["PostgreSQL 13", "PostgreSQL 15", "PostgreSQL 18"]);
    } finally {
      if (before === undefined) delete process.env.SOJOURN_TEST_ALL_VERSIONS;
      else process.env.SOJOURN_TEST_ALL_VERSIONS = before;
    }
  });

  for (const version of testedVersions("Redis", "Valkey")) {
    itStarts(version, async () => {
      server = await startRedis({ version });
      const client = new Redis(server.url);
      const info = await client.info("server");
      client.disconnect();
      const [product, number] = version.toLowerCase().split(" ");
      expect(info).toMatch(new RegExp(`^${product}_version:${number?.replace(".", "\\.")}\\.`, "m"));
    });
  }

  for (const version of testedVersions("PostgreSQL")) {
    itStarts(version, async () => {
      server = await startPostgres({ version });
      const client = new pg.Client(server.url);
      await client.connect();
      const { rows } = await client.query("SELECT version()");
      await client.end();
      expect(rows[0].version).toMatch(`${version}.`);
    });
  }
});
