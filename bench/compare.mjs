/**
 *     pnpm bench compare <commit> [suite...] [--quick] [--turns n] [--json file]
 *
 * Measures the present tree beside a commit, in turns. Suites are the backends, express and fastify; without a name all are
 * compared. Each tree runs the subjects of its own folder bench.
 *
 * Prints for each row the throughput of both trees, and two ratios, each as the median of the turns and the interval in which
 * that median lies: new throughput divided by old, and old CPU time of the client process for each operation divided by new. A
 * ratio above 1 means that the present tree is better. A row has moved beyond the spread when its interval does not hold 1. The
 * CPU ratio bears other load on the machine better than the throughput does.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import * as expressApps from "./apps/express.mjs";
import * as fastifyApps from "./apps/fastify.mjs";
import { backends } from "./backends/index.mjs";
import { compareApps, compareStores, lengths } from "./lib/comparison.mjs";
import { describeMachine } from "./lib/machine.mjs";
import { buildPresentTree, buildTreeOf } from "./lib/trees.mjs";

const leastTurns = 5;
const suites = {
  ...Object.fromEntries(
    Object.entries(backends).map(([name, { start }]) => [
      name,
      // In memory the store alone takes less time than the manager's own work, and would not show in it.
      (trees, options) =>
        compareStores({ name, start, ...(name === "memory" && { storeOperations: ["get", "touch"] }) }, trees, options),
    ]),
  ),
  express: appSuite("apps/express.mjs", expressApps),
  fastify: appSuite("apps/fastify.mjs", fastifyApps),
};

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false }, turns: { type: "string" }, json: { type: "string" } },
});
const [commit, ...asked] = positionals;
if (commit === undefined) throw new Error("compare: name a commit, such as `pnpm bench compare HEAD~1 memory`");
const unknown = asked.find((name) => suites[name] === undefined);
if (unknown !== undefined)
  throw new Error(`compare: no suite "${unknown}"; there are ${Object.keys(suites).join(", ")}`);

const length = lengthOf(flags);

// The fixtures' servers keep no process alive.
const waiting = setInterval(() => {}, 60_000);
const succeeded = await compareAll(asked.length > 0 ? asked : Object.keys(suites));
clearInterval(waiting);
process.exit(succeeded ? 0 : 1);

async function compareAll(names) {
  console.log(`building ${commit} and the present tree`);
  const trees = [buildTreeOf(commit), buildPresentTree()];
  const results = [];
  const failed = [];
  for (const name of names) {
    const begin = performance.now();
    const log = (line) => console.log(`${name}: ${line}`);
    try {
      const rows = await suites[name](trees, { ...length, log });
      results.push({ suite: name, rows });
      log(`done in ${Math.round((performance.now() - begin) / 1_000)} s`);
      console.log(`\n${table(name, rows)}\n`);
    } catch (error) {
      failed.push(name);
      console.error(`${name}: failed`, error);
    }
  }
  for (const line of summary(results.flatMap(({ rows }) => rows))) console.log(line);
  if (flags.json !== undefined) {
    const head = { old: trees[0].commit, new: trees[1].commit, machine: describeMachine(), length };
    writeFileSync(flags.json, `${JSON.stringify({ ...head, results }, null, 2)}\n`);
  }
  if (failed.length > 0) console.error(`failed: ${failed.join(", ")}`);
  return failed.length === 0;
}

function lengthOf({ quick, turns }) {
  const { store, app } = lengths[quick ? "quick" : "normal"];
  if (turns === undefined) return { store, app };
  const count = Number(turns);
  if (!(Number.isInteger(count) && count >= leastTurns)) {
    throw new Error(`compare: --turns takes a whole number of at least ${leastTurns}, received ${turns}`);
  }
  return { store: { ...store, turns: count }, app: { ...app, turns: count } };
}

function appSuite(module, { subjects }) {
  return (trees, options) => compareApps({ module, subjects, backends }, trees, options);
}

function table(suite, rows) {
  const label = ({ subject, operation }) => `${subject}: ${operation}`;
  const width = Math.max(suite.length, ...rows.map((row) => label(row).length));
  const rate = (value) => Math.round(value).toLocaleString("en").padStart(10);
  const ratio = ({ ratio, low, high }) => `  ${ratio.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`.padEnd(22);
  const head = `${suite.padEnd(width)} callers   old, 1/s   new, 1/s  throughput            CPU                   moved`;
  const lines = rows.map((row) => {
    const cells = [label(row).padEnd(width), String(row.concurrency).padStart(7), rate(row.before), rate(row.after)];
    return `${cells.join(" ")}${ratio(row.throughput)}${ratio(row.cpu)}  ${verdict(row)}`.trimEnd();
  });
  return [head, ...lines].join("\n");
}

function verdict({ throughput, cpu }) {
  const words = [
    ["", throughput],
    ["CPU ", cpu],
  ];
  return words.flatMap(([word, { moved }]) => (moved === "no" ? [] : [`${word}${moved}`])).join(", ");
}

function summary(rows) {
  return ["slower", "faster"].map((direction) => {
    const moved = rows.filter(({ throughput }) => throughput.moved === direction);
    return `${moved.length} of ${rows.length} rows are ${direction} beyond the spread`;
  });
}
