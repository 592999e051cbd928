import { findMongoDB, startFerretDB, startMongoJavaServer } from "@sojourn/test-fixtures";
import { type ConformanceCase, conformanceCases, describeConformance } from "@sojourn/testkit";
import { afterAll, describe, test } from "vitest";
import { harnessOn, openClient, openClient6 } from "./harness.js";

const mongod = await findMongoDB();
const [ferret, java] = await Promise.all([startFerretDB(), startMongoJavaServer()]);
const ferretClient = openClient(ferret.url);
const javaClient = openClient6(java.url);
afterAll(async () => {
  await Promise.all([ferretClient.close(), javaClient.close()]);
  await Promise.all([ferret.stop(), java.stop()]);
});

const dbName = `conformance_${process.pid}`;
// A namespace is the name of a collection, not any text.
const awkwardNamespaces = ["Select", "a'b", "a\\b", "a;b--", "a b", "a.b", "%_", "a*b", "/", "ü😀", "x".repeat(90)];

if (typeof mongod === "string") {
  test.skip(`conformance on mongod: ${mongod}`, () => {});
} else {
  for (const [driver, open] of Object.entries({ 6: openClient6, 7: openClient })) {
    const client = open(mongod.url);
    const database = `${dbName}_${driver}`;
    afterAll(async () => {
      await client.db(database).dropDatabase();
      await client.close();
    });
    const harness = harnessOn(`mongod, driver ${driver}`, client, { dbName: database, awkwardNamespaces });
    describeConformance(harness, { describe, test });
  }
  afterAll(() => mongod.stop());
}

describeConformance(
  harnessOn("mongo-java-server, driver 6", javaClient, {
    dbName,
    awkwardNamespaces,
    outage: { begin: () => java.kill(), end: () => java.restart() },
  }),
  { describe, test },
);

/** Cases that FerretDB 1 cannot pass, and why. */
const unfit: readonly [ids: RegExp, reason: string][] = [
  [/^(race\/|model\/racing)/, "FerretDB 1 reads, changes and writes: of two updates at once both may win"],
  [/^setup\/ten-at-once$/, "FerretDB 1 panics when two clients create the indexes of one collection at once"],
];
const ferretCases = conformanceCases.map((each): ConformanceCase => {
  const reason = unfit.find(([ids]) => ids.test(each.id))?.[1];
  return reason === undefined ? each : { ...each, needs: () => reason };
});
describeConformance(
  harnessOn("FerretDB 1.24 on SQLite, driver 7", ferretClient, {
    dbName,
    awkwardNamespaces,
    outage: { begin: () => ferret.kill(), end: () => ferret.restart() },
  }),
  { describe, test },
  // Each of its writes is a transaction of SQLite on disk.
  { cases: ferretCases, scale: 0.005, rounds: 10 },
);
