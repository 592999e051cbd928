import { startPostgres, testedVersions, whyMissing } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { afterAll, describe, test } from "vitest";
import { harnessOn, openPool } from "./harness.js";

for (const version of testedVersions("PostgreSQL")) {
  const reason = whyMissing(version);
  if (reason !== undefined) {
    test.skip(`conformance on ${version}: ${reason}`);
    continue;
  }
  const server = await startPostgres({ version });
  afterAll(() => server.stop());
  const outage = { begin: () => server.kill(), end: () => server.restart() };
  describeConformance(harnessOn(version, openPool(server.url), { outage }), { describe, test });
}
