/** Runs a suite of stores: every subject in a process of its own, one of them at work at a time. */
import { fileURLToPath } from "node:url";
import { startTcpProxy } from "@sojourn/test-fixtures";
import { Remote } from "./remote.mjs";
import { Table } from "./results.mjs";
import { cpuOf } from "./server-cpu.mjs";
import { shuffled } from "./statistics.mjs";

const workerScript = fileURLToPath(new URL("store-worker.mjs", import.meta.url));
const ownBench = fileURLToPath(new URL("..", import.meta.url));
const operationsInOrder = ["create", "get", "update", "touch", "request", "requestWriting", "destroy"];
/** Until V8 has compiled what the operation runs on. */
export const warmUp = { durationMs: 100, leastOperations: 3_000 };
const countedCalls = 60;

/**
 * By payload: what is measured at which number of callers. A short run takes what the goals speak of, and the extremes of
 * size for what every request does.
 */
const shortPlan = [
  { payloadBytes: 1_024, callers: { 64: operationsInOrder, 1: ["get", "update", "request"] } },
  { payloadBytes: 200, callers: { 64: ["get", "request"] } },
  { payloadBytes: 10_240, callers: { 64: ["get", "update", "touch", "request"] } },
];
const everyOperation = Object.fromEntries([1, 16, 64, 256].map((concurrency) => [concurrency, operationsInOrder]));
const fullPlan = [200, 1_024, 10_240].map((payloadBytes) => ({ payloadBytes, callers: everyOperation }));
const smokePlan = [{ payloadBytes: 200, callers: { 4: operationsInOrder } }];
const plans = { short: shortPlan, full: fullPlan, smoke: smokePlan };
const sliceMsOf = { short: 150, full: 500, smoke: 10 };

/**
 * @param {{ name: string, subjects: readonly string[], start?: () => Promise<object> }} suite - `name` is that of a module of backends/
 * @param {{ length: "short" | "full" | "smoke", runs: number, log: (line: string) => void }} options
 * @returns rows of results
 */
export async function runStoreSuite(suite, options) {
  const server = await suite.start?.();
  const table = new Table();
  try {
    for (const part of plans[options.length]) await measurePart(suite, server, part, options, table);
    if (server !== undefined) await countTraffic(suite, server, options, table);
    return table.rows;
  } finally {
    await server?.stop();
  }
}

/** All cells of one payload size: a pass over them for each run, and one before that to warm up. */
async function measurePart(suite, server, { payloadBytes, callers }, options, table) {
  const cells = Object.entries(callers).flatMap(([concurrency, operations]) =>
    operations.map((operation) => ({ operation, payloadBytes, concurrency: Number(concurrency) })),
  );
  const subjects = await openSubjects(suite, { url: server?.url, payloadBytes, namespace: `of${payloadBytes}` });
  const able = ({ operation }) => subjects.filter(({ operations }) => operations.includes(operation));
  const durationMs = sliceMsOf[options.length];
  try {
    options.log(`${payloadBytes} bytes: warming up`);
    for (const cell of cells) {
      for (const { remote } of able(cell)) {
        await remote.call("slice", { ...cell, ...(options.length === "smoke" ? { durationMs } : warmUp) });
      }
    }
    for (let run = 1; run <= options.runs; run += 1) {
      options.log(`${payloadBytes} bytes: run ${run}`);
      for (const cell of cells) await measureCell(able(cell), cell, server, durationMs, table);
    }
  } finally {
    await closeSubjects(subjects);
  }
}

/** There and back in random order, so that a change of the machine's speed favours no subject. */
async function measureCell(subjects, cell, server, durationMs, table) {
  const order = shuffled(subjects);
  const slices = new Map(order.map(({ name }) => [name, []]));
  for (const { name, remote } of [...order, ...order.toReversed()]) {
    await remote.call("prepare", cell);
    const before = server && cpuOf(server.pid);
    const slice = await remote.call("slice", { ...cell, durationMs });
    const serverCpuUs = before === undefined ? undefined : cpuOf(server.pid) - before;
    slices.get(name).push({ ...slice, serverCpuUs });
  }
  for (const [subject, measured] of slices) table.addRun({ subject, ...cell }, summary(measured));
}

function summary(slices) {
  const sum = (field) => slices.reduce((total, slice) => total + slice[field], 0);
  const mean = (field) => sum(field) / slices.length;
  const operations = sum("operations");
  return {
    opsPerSecond: (operations / sum("elapsedMs")) * 1_000,
    p50Us: mean("p50Us"),
    p99Us: mean("p99Us"),
    clientCpuUs: sum("cpuUs") / operations,
    ...(slices[0].serverCpuUs === undefined ? {} : { serverCpuUs: sum("serverCpuUs") / operations }),
  };
}

/** Returns the traffic of one call, counted by a relay and not timed. */
async function countTraffic(suite, server, { log }, table) {
  log("counting round trips and bytes");
  const payloadBytes = 1_024;
  for (const name of suite.subjects) {
    const proxy = await startTcpProxy(server.url);
    try {
      await countSubject(suite, name, proxy, payloadBytes, table);
    } finally {
      await proxy.stop();
    }
  }
}

async function countSubject(suite, name, proxy, payloadBytes, table) {
  const [subject] = await openSubjects(suite, { url: proxy.url, payloadBytes, namespace: "counted" }, [name]);
  try {
    for (const operation of operationsInOrder.filter((operation) => subject.operations.includes(operation))) {
      // Scripts are loaded and statements prepared at first use, on each connection.
      await subject.remote.call("repeat", { operation, calls: 20 });
      proxy.resetCounts();
      await subject.remote.call("repeat", { operation, calls: countedCalls });
      const { roundTrips, sent, received } = proxy.counts;
      table.addRun(
        { subject: name, operation, payloadBytes, counted: true },
        { roundTrips: roundTrips / countedCalls, bytes: (sent + received) / countedCalls },
      );
    }
  } finally {
    await closeSubjects([subject]);
  }
}

/** @param place - the server's `url`, the `payloadBytes`, and an unused `namespace` */
async function openSubjects(suite, place, names = suite.subjects) {
  const opened = [];
  try {
    for (const name of names) opened.push(await openSubject({ bench: ownBench, backend: suite.name, name }, place));
    return opened;
  } catch (error) {
    await closeSubjects(opened);
    throw error;
  }
}

/**
 * Starts the process of one subject and fills its store.
 *
 * @param {{ bench: string, backend: string, name: string }} subject - `bench` is the folder of the tree under test
 * @param place - the server's `url`, the `payloadBytes`, and an unused `namespace`
 */
export async function openSubject({ bench, backend, name }, place) {
  const remote = await Remote.start(workerScript, [bench, backend, name]);
  try {
    return { name, remote, operations: await remote.call("open", place) };
  } catch (error) {
    await remote.stop();
    throw error;
  }
}

export async function closeSubjects(subjects) {
  for (const { remote } of subjects) {
    await remote.call("close").catch(() => {});
    await remote.stop();
  }
}
