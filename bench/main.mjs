/**
 *     pnpm bench [suite...] [--full] [--runs n]
 *     pnpm bench report
 *     pnpm bench context | encryption | compare | hops [argument...]
 *
 * Runs the suites that are named, or all of them, and writes their figures to results/. A suite that fails is
 * reported at the end and costs the others nothing. `report` makes docs/benchmarks.md and its charts of the results. What
 * stands beside this file is measured alone, and printed.
 */
import { parseArgs } from "node:util";
import * as expressApps from "./apps/express.mjs";
import * as fastifyApps from "./apps/fastify.mjs";
import * as webApps from "./apps/web.mjs";
import { backends } from "./backends/index.mjs";
import { runAppSuite } from "./lib/app-suite.mjs";
import { describeMachine, versionsOf } from "./lib/machine.mjs";
import { writeResult } from "./lib/results.mjs";
import { runScaleSuite } from "./lib/scale-suite.mjs";
import { runStoreSuite } from "./lib/store-suite.mjs";
import { subjectsOf } from "./lib/subjects.mjs";
import * as scaleOfMemory from "./scale/memory.mjs";
import * as scaleOfPostgres from "./scale/postgres.mjs";
import * as scaleOfRedis from "./scale/redis.mjs";

/** By name, in the order in which they run: what describes a suite, and how to run it. */
const suites = {
  ...Object.fromEntries(Object.entries(backends).map(([name, backend]) => [name, storeSuite(name, backend)])),
  express: { ...expressApps, run: (options) => runAppSuite(expressApps, options) },
  fastify: { ...fastifyApps, run: (options) => runAppSuite(fastifyApps, options) },
  web: { ...webApps, run: (options) => runAppSuite(webApps, options) },
  "scale-memory": scaleSuite("memory", scaleOfMemory),
  "scale-redis": scaleSuite("redis", scaleOfRedis),
  "scale-postgres": scaleSuite("postgres", scaleOfPostgres),
};

const alone = ["context", "encryption", "compare", "hops"].find((name) => name === process.argv[2]);
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  // A module that is run alone parses its own arguments.
  ...(alone !== undefined && { args: [] }),
  options: {
    full: { type: "boolean", default: false },
    /** So short that its figures mean nothing, and are not written: whether everything works. */
    smoke: { type: "boolean", default: false },
    runs: { type: "string" },
  },
});

if (alone !== undefined) {
  process.argv.splice(2, 1);
  await import(`./${alone}.mjs`);
} else if (positionals.includes("report")) {
  const { writeReport } = await import("./report/report.mjs");
  const wrong = writeReport();
  if (wrong.length > 0) console.error(`docs/benchmarks.md, to be mended by hand:\n${wrong.join("\n")}`);
  process.exitCode = wrong.length > 0 ? 1 : 0;
} else {
  // The fixtures' servers keep no process alive, also while it waits for them.
  const waiting = setInterval(() => {}, 60_000);
  const succeeded = await runSuites(positionals);
  clearInterval(waiting);
  // A failed suite may have left connections open.
  process.exit(succeeded ? 0 : 1);
}

async function runSuites(asked) {
  const names = Object.keys(suites);
  const isNamed = (name, word) => word === "all" || name === word || name.startsWith(`${word}-`);
  const unknown = asked.find((word) => !names.some((name) => isNamed(name, word)));
  if (unknown !== undefined) throw new Error(`no suite "${unknown}"; there are ${names.join(", ")}, and scale`);
  const isWanted = (name) => asked.length === 0 || asked.some((word) => isNamed(name, word));
  const failed = [];
  for (const name of names.filter(isWanted)) {
    try {
      await runSuite(name);
    } catch (error) {
      failed.push(name);
      console.error(`${name}: failed`, error);
    }
  }
  if (failed.length > 0) console.error(`failed: ${failed.join(", ")}`);
  return failed.length === 0;
}

async function runSuite(name) {
  const begin = performance.now();
  const log = (line) => console.log(`${name}: ${line}`);
  const length = flags.smoke ? "smoke" : flags.full ? "full" : "short";
  const runs = Number(flags.runs ?? (flags.smoke ? 1 : 3));
  const { title, setting, packages, reference, subjects, run } = suites[name];
  const rows = await run({ length, runs, log });
  log(`done in ${Math.round((performance.now() - begin) / 1_000)} s`);
  if (flags.smoke) return;
  const takenAt = new Date().toISOString().slice(0, 10);
  const levels = Object.fromEntries(Object.entries(subjects).map(([subject, { level }]) => [subject, level]));
  const versions = versionsOf(packages);
  const head = {
    suite: name,
    title,
    setting,
    reference,
    takenAt,
    length,
    machine: describeMachine(),
    versions,
    levels,
  };
  writeResult({ ...head, rows });
}

function storeSuite(name, backend) {
  const subjects = subjectsOf(backend);
  const { start } = backend;
  const run = (options) => runStoreSuite({ name, start, subjects: Object.keys(subjects) }, options);
  return { ...backend, reference: Object.keys(backend.peers)[0], subjects, run };
}

function scaleSuite(name, suite) {
  const path = new URL(`scale/${name}.mjs`, import.meta.url).href;
  return { ...suite, run: (options) => runScaleSuite({ ...suite, path }, options) };
}
