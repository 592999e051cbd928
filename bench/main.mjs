/**
 *     pnpm bench [suite...] [--full | --smoke] [--runs n]
 *
 * Runs the suites that are named, or all of them, and writes what each measured to results/. A suite that fails is
 * reported at the end and costs the others nothing. `pnpm bench report` makes docs/benchmarks.md and its charts of it.
 */
import { parseArgs } from "node:util";
import { describeMachine, versionsOf } from "./lib/machine.mjs";
import { writeResult } from "./lib/results.mjs";
import { runStoreSuite } from "./lib/store-suite.mjs";

const storeSuites = ["redis", "postgres", "mysql", "memcached", "memory"];
const names = [...storeSuites];

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { full: { type: "boolean" }, smoke: { type: "boolean" }, runs: { type: "string", default: "3" } },
});
const wanted = positionals.length === 0 || positionals.includes("all") ? names : positionals;
const unknown = wanted.find((name) => !names.includes(name));
if (unknown !== undefined) throw new Error(`no suite "${unknown}"; there are ${names.join(", ")}`);

const length = flags.full ? "full" : flags.smoke ? "smoke" : "short";
const runs = flags.smoke ? 1 : Number(flags.runs);
const failed = [];
// The fixtures' servers keep no process alive, not even one that waits for them.
const waiting = setInterval(() => {}, 60_000);
for (const name of wanted) {
  const begin = performance.now();
  const log = (line) => console.log(`${name}: ${line}`);
  try {
    const { suite } = await import(`./suites/${name}.mjs`);
    const rows = await runStoreSuite(suite, { length, runs, log });
    const { title, setting } = suite;
    const subjects = Object.fromEntries(Object.entries(suite.subjects).map(([subject, { level }]) => [subject, level]));
    const takenAt = new Date().toISOString().slice(0, 10);
    const versions = versionsOf(suite.packages);
    if (length !== "smoke")
      writeResult({
        suite: name,
        title,
        setting,
        takenAt,
        length,
        machine: describeMachine(),
        versions,
        subjects,
        rows,
      });
    log(`done in ${Math.round((performance.now() - begin) / 1_000)} s`);
  } catch (error) {
    failed.push(name);
    console.error(`${name}: failed`, error);
  }
}
clearInterval(waiting);
if (failed.length > 0) console.error(`failed: ${failed.join(", ")}`);
// Whatever a suite that failed has left open.
process.exit(failed.length > 0 ? 1 : 0);
