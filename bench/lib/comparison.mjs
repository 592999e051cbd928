/**
 * Measures two trees side by side. A turn measures each row on both trees in short slices, there and back (A B B A), and every
 * turn begins with the other tree (B A A B): the load of other processes changes within seconds. Each turn starts new
 * processes, because two processes on the same code can differ by several percent.
 */
import { pathToFileURL } from "node:url";
import { closeApp, connections, measure, openApp } from "./app-suite.mjs";
import { median, medianInterval } from "./statistics.mjs";
import { closeSubjects, openSubject, warmUp } from "./store-suite.mjs";

const payloadBytes = 1_024;
const operations = ["get", "create", "update", "touch", "destroy"];
const callers = [1, 64];
/** A slice is repeated for at most so many times its length. */
const longestRepeat = 3;

/** How many turns there are, how often each goes there and back, and how long a slice takes. */
export const lengths = {
  normal: {
    store: { turns: 9, rounds: 4, sliceMs: 80 },
    app: { turns: 5, rounds: 2, sliceMs: 200, warmUpMs: 1_000 },
  },
  quick: {
    store: { turns: 5, rounds: 2, sliceMs: 40 },
    app: { turns: 5, rounds: 1, sliceMs: 150, warmUpMs: 400 },
  },
};

/**
 * @typedef {object} Pair - what one turn measured of one row; index 0 is the old tree, 1 the new one
 * @property {[number, number]} opsPerSecond
 * @property {[number, number]} cpuUs - CPU time of the process under test for each operation
 */

/**
 * Compares the manager of one backend, and its store alone for some operations.
 *
 * @param {object} suite - `name` of a module of backends/, `start` of its server, `storeOperations`
 * @param {readonly [import("./trees.mjs").Tree, import("./trees.mjs").Tree]} trees - old, new
 * @param {{ store: object, log: (line: string) => void }} options - `store` as in {@link lengths}
 * @returns rows of {@link judge}
 */
export async function compareStores({ name, start, storeOperations = [] }, trees, { store, log }) {
  const cells = [...cellsOf("Sojourn manager", operations), ...cellsOf("Sojourn store", storeOperations)];
  const subjects = new Set(cells.map(({ subject }) => subject));
  const pairs = new Map(cells.map((cell) => [cell, []]));
  const server = await start?.();
  try {
    for (let turn = 0; turn < store.turns; turn += 1) {
      log(`turn ${turn + 1} of ${store.turns}`);
      const place = (side) => ({ url: server?.url, payloadBytes, namespace: `t${turn}${side}` });
      for (const subject of subjects) {
        const open = ({ bench }, side) => openSubject({ bench, backend: name, name: subject }, place(side));
        const own = cells.filter((cell) => cell.subject === subject);
        await withBoth(trees, open, closeSubject, async (sides) => {
          for (const cell of own) {
            for (const { remote } of sides) await remote.call("slice", { ...cell, ...warmUp });
          }
          for (const cell of own) pairs.get(cell).push(await measureCell(sides, cell, turn, store));
        });
      }
    }
  } finally {
    await server?.stop();
  }
  return cells.map(({ subject, operation, concurrency }, row) => ({
    subject,
    operation,
    concurrency,
    ...judge(pairs.get(cells[row])),
  }));
}

/**
 * Compares the applications of one framework that use Sojourn through each backend's default driver.
 *
 * @param {object} suite - `module`, the path of its module below bench/, its `subjects`, and the `backends`
 * @param {readonly [import("./trees.mjs").Tree, import("./trees.mjs").Tree]} trees - old, new
 * @param {{ app: object, log: (line: string) => void }} options - `app` as in {@link lengths}
 * @returns rows of {@link judge}
 */
export async function compareApps({ module, subjects, backends }, trees, { app, log }) {
  const modules = trees.map(({ bench }) => pathToFileURL(`${bench}/${module}`).href);
  const ours = Object.entries(subjects).filter(([, { level, driver }]) => level === "ours" && driver === undefined);
  const rows = [];
  for (const [name, { backend, path }] of ours) {
    log(name);
    const pairs = [];
    const server = await backends[backend].start?.();
    try {
      for (let turn = 0; turn < app.turns; turn += 1) {
        const open = (_tree, side) => openApp({ module: modules[side], name, path }, server, `t${turn}${side}`);
        await withBoth(trees, open, closeApp, async (sides) => {
          for (const each of sides) await measure(each, app.warmUpMs / 1_000);
          for (const each of sides) await each.remote.call("collectGarbage");
          pairs.push(await thereAndBack(sides, turn, app.rounds, (each) => measure(each, app.sliceMs / 1_000)));
        });
      }
    } finally {
      await server?.stop();
    }
    rows.push({ subject: name, operation: "request", concurrency: connections, ...judge(pairs) });
  }
  return rows;
}

/**
 * Judges the pairs of one row, by throughput and by CPU time for each operation. Ratios above 1 mean that the new tree is
 * better. `moved` means beyond the spread: the interval does not hold 1.
 *
 * @param {readonly Pair[]} pairs
 */
export function judge(pairs) {
  const rate = (side) => median(pairs.map(({ opsPerSecond }) => opsPerSecond[side]));
  return {
    before: rate(0),
    after: rate(1),
    throughput: ratioOf(pairs.map(({ opsPerSecond: [before, after] }) => after / before)),
    cpu: ratioOf(pairs.map(({ cpuUs: [before, after] }) => before / after)),
  };
}

function ratioOf(ratios) {
  const { low, high } = medianInterval(ratios);
  return { ratio: median(ratios), low, high, moved: low > 1 ? "faster" : high < 1 ? "slower" : "no", ratios };
}

function cellsOf(subject, operations) {
  return operations.flatMap((operation) =>
    callers.map((concurrency) => ({ subject, operation, payloadBytes, concurrency })),
  );
}

/** Opens the same subject of both trees for as long as `work` takes. */
async function withBoth(trees, open, close, work) {
  const sides = [];
  try {
    for (const [side, tree] of trees.entries()) sides.push(await open(tree, side));
    await work(sides);
  } finally {
    for (const side of sides) await close(side);
  }
}

async function measureCell(sides, cell, turn, { rounds, sliceMs }) {
  for (const { remote } of sides) await remote.call("prepare", cell);
  return thereAndBack(sides, turn, rounds, ({ remote }) => storeSlice(remote, cell, sliceMs));
}

/** Repeats a slice that ends early: `destroy` uses up its sessions, and making new ones is not measured. */
async function storeSlice(remote, cell, sliceMs) {
  const total = noWork();
  const latest = performance.now() + longestRepeat * sliceMs;
  do {
    const { operations, elapsedMs, cpuUs } = await remote.call("slice", { ...cell, durationMs: sliceMs });
    add(total, { operations, seconds: elapsedMs / 1_000, cpuUs });
  } while (total.seconds * 1_000 < 0.9 * sliceMs && performance.now() < latest);
  return total;
}

/** @returns {Promise<Pair>} */
async function thereAndBack(sides, turn, rounds, slice) {
  const totals = sides.map(noWork);
  const order = turn % 2 === 0 ? [0, 1, 1, 0] : [1, 0, 0, 1];
  for (let round = 0; round < rounds; round += 1) {
    for (const side of order) add(totals[side], await slice(sides[side]));
  }
  return {
    opsPerSecond: totals.map(({ operations, seconds }) => operations / seconds),
    cpuUs: totals.map(({ operations, cpuUs }) => cpuUs / operations),
  };
}

function noWork() {
  return { operations: 0, seconds: 0, cpuUs: 0 };
}

function add(total, { operations, seconds, cpuUs }) {
  total.operations += operations;
  total.seconds += seconds;
  total.cpuUs += cpuUs;
}

function closeSubject(subject) {
  return closeSubjects([subject]);
}
