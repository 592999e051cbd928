/** Runs a suite of stores: every subject in a process of its own, one of them at work at a time. */
import { fileURLToPath } from "node:url";
import { startCountingProxy } from "./counting-proxy.mjs";
import { Remote } from "./remote.mjs";
import { Table } from "./results.mjs";
import { cpuOf } from "./server-cpu.mjs";
import { shuffled } from "./statistics.mjs";

const workerScript = fileURLToPath(new URL("store-worker.mjs", import.meta.url));
const operationsInOrder = ["create", "get", "update", "touch", "request", "requestWriting", "destroy"];
const warmUpMs = 150;
const countedCalls = 60;

/** The cells of a short run: those that goals speak of, and the extremes of size for what every request does. */
const shortPlan = [
  { payloadBytes: 1_024, concurrencies: [1, 64], operations: operationsInOrder },
  { payloadBytes: 200, concurrencies: [64], operations: ["get", "update", "request"] },
  { payloadBytes: 10_240, concurrencies: [64], operations: ["get", "update", "touch", "request"] },
];
const fullPlan = [200, 1_024, 10_240].map((payloadBytes) => ({
  payloadBytes,
  concurrencies: [1, 16, 64, 256],
  operations: operationsInOrder,
}));
const smokePlan = [{ payloadBytes: 200, concurrencies: [4], operations: operationsInOrder }];
const plans = { short: shortPlan, full: fullPlan, smoke: smokePlan };
const sliceMsOf = { short: 200, full: 500, smoke: 10 };

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
async function measurePart(suite, server, { payloadBytes, concurrencies, operations }, options, table) {
  const subjects = await openSubjects(suite, { url: server?.url, payloadBytes, namespace: `of${payloadBytes}` });
  const sliceMs = sliceMsOf[options.length];
  try {
    for (let run = -1; run < options.runs; run += 1) {
      options.log(run < 0 ? `${payloadBytes} bytes: warming up` : `${payloadBytes} bytes: run ${run + 1}`);
      for (const operation of operations) {
        for (const concurrency of concurrencies) {
          const able = subjects.filter(({ operations }) => operations.includes(operation));
          const cell = { operation, payloadBytes, concurrency };
          if (run < 0) {
            for (const { remote } of able)
              await remote.call("slice", { ...cell, durationMs: Math.min(warmUpMs, sliceMs) });
            continue;
          }
          await measureCell(able, cell, server, sliceMs, table);
        }
      }
    }
  } finally {
    await closeSubjects(subjects);
  }
}

/** There and back in random order, so that a machine that slows down or speeds up meanwhile favours nobody. */
async function measureCell(subjects, cell, server, durationMs, table) {
  const order = shuffled(subjects);
  const slices = new Map(order.map(({ name }) => [name, []]));
  for (const { name, remote } of [...order, ...order.toReversed()]) {
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

/** What one call puts on the wire, counted by a relay and timed by nobody. */
async function countTraffic(suite, server, { log }, table) {
  log("counting round trips and bytes");
  const payloadBytes = 1_024;
  for (const name of suite.subjects) {
    const proxy = await startCountingProxy(server.url);
    try {
      await countSubject(suite, name, proxy, payloadBytes, table);
    } finally {
      proxy.stop();
    }
  }
}

async function countSubject(suite, name, proxy, payloadBytes, table) {
  const [subject] = await openSubjects(suite, { url: proxy.url, payloadBytes, namespace: "counted" }, [name]);
  try {
    for (const operation of operationsInOrder.filter((operation) => subject.operations.includes(operation))) {
      // Scripts are loaded and statements prepared at first use, on each connection.
      await subject.remote.call("repeat", { operation, calls: 20 });
      proxy.reset();
      await subject.remote.call("repeat", { operation, calls: countedCalls });
      const { roundTrips, bytes } = proxy.counts;
      table.addRun(
        { subject: name, operation, payloadBytes, counted: true },
        { roundTrips: roundTrips / countedCalls, bytes: bytes / countedCalls },
      );
    }
  } finally {
    await closeSubjects([subject]);
  }
}

/** @param place - the server's `url`, the `payloadBytes`, and a `namespace` that nobody has used */
async function openSubjects(suite, place, names = suite.subjects) {
  const opened = [];
  try {
    for (const name of names) {
      const remote = await Remote.start(workerScript, [suite.name, name]);
      const subject = { name, remote, operations: [] };
      opened.push(subject);
      subject.operations = await remote.call("open", place);
    }
    return opened;
  } catch (error) {
    await closeSubjects(opened);
    throw error;
  }
}

async function closeSubjects(subjects) {
  for (const { remote } of subjects) {
    await remote.call("close").catch(() => {});
    await remote.stop();
  }
}
