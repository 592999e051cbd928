/** Runs a suite of applications: each in a process of its own, one of them under load at a time, the load in this one. */
import { fileURLToPath } from "node:url";
import autocannon from "autocannon";
import { backends } from "../backends/index.mjs";
import { Remote } from "./remote.mjs";
import { Table } from "./results.mjs";
import { cpuOf } from "./server-cpu.mjs";
import { shuffled } from "./statistics.mjs";

const workerScript = fileURLToPath(new URL("app-worker.mjs", import.meta.url));
export const connections = 64;
const payloadBytes = 1_024;
const secondsOf = { short: 1, full: 5, smoke: 0.2 };
/** Until V8 has compiled what a request runs through: a few thousand requests, which the slower applications serve in so long. */
const warmUpSecondsOf = { short: 4, full: 5, smoke: 0.2 };

/**
 * @param {object} suite - a module of apps/
 * @param {{ length: "short" | "full" | "smoke", runs: number, log: (line: string) => void }} options
 * @returns rows of results
 */
export async function runAppSuite(suite, { length, runs, log }) {
  const servers = {};
  const apps = [];
  const table = new Table();
  try {
    const used = new Set(Object.values(suite.subjects).map(({ backend }) => backend));
    for (const [name, backend] of Object.entries(backends)) if (used.has(name)) servers[name] = await backend.start?.();
    for (const [name, subject] of Object.entries(suite.subjects)) {
      apps.push(await openSuiteApp(suite, name, subject, servers));
    }
    log("warming up");
    for (const app of shuffled(apps)) await measureWithServer(app, warmUpSecondsOf[length]);
    for (let run = 1; run <= runs; run += 1) {
      log(`run ${run}`);
      await measureRun(apps, secondsOf[length], table);
    }
    return table.rows;
  } finally {
    for (const app of apps) await closeApp(app);
    for (const server of Object.values(servers)) await server?.stop();
  }
}

/** There and back in random order, as in the suites of stores. */
async function measureRun(apps, seconds, table) {
  const order = shuffled(apps);
  const slices = new Map(order.map(({ name }) => [name, []]));
  for (const app of [...order, ...order.toReversed()]) {
    slices.get(app.name).push(await measureWithServer(app, seconds));
  }
  for (const [subject, measured] of slices) {
    table.addRun({ subject, operation: "request", payloadBytes, concurrency: connections }, summary(measured));
  }
}

async function openSuiteApp(suite, name, { backend, path }, servers) {
  const namespace = name.replace(/\W+/g, "_").toLowerCase();
  return openApp({ module: suite.path, name, path }, servers[backend], namespace);
}

/**
 * Starts the process of one application and logs a visitor in for each connection.
 *
 * @param {{ module: string, name: string, path?: string }} subject - `module` is the address of the suite's module in the tree under test
 * @param server - of its backend, if it has one
 * @param {string} namespace - unused on that server
 */
export async function openApp({ module, name, path = "/" }, server, namespace) {
  const remote = await Remote.start(workerScript, [module, name]);
  try {
    const port = await remote.call("open", { url: server?.url, namespace, payloadBytes });
    const origin = `http://127.0.0.1:${port}`;
    const cookies = [];
    for (let n = 0; n < connections; n += 1) cookies.push(await logIn(origin, n));
    return { name, remote, server, url: origin + path, cookies };
  } catch (error) {
    await remote.stop();
    throw error;
  }
}

export async function closeApp({ remote }) {
  await remote.call("close").catch(() => {});
  await remote.stop();
}

/** @returns the cookie, or none from an application that has no sessions */
async function logIn(origin, n) {
  const response = await fetch(`${origin}/login?n=${n}`, { method: "POST" });
  if (!response.ok) throw new Error(`${response.status} at login: ${await response.text()}`);
  return response.headers
    .getSetCookie()
    .map((cookie) => cookie.split(";", 1)[0])
    .join("; ");
}

async function measureWithServer(app, seconds) {
  const { remote, server } = app;
  await remote.call("collectGarbage");
  const before = server && cpuOf(server.pid);
  const measured = await measure(app, seconds);
  return { ...measured, serverCpuUs: before === undefined ? 0 : cpuOf(server.pid) - before };
}

/**
 * Puts an application under load for some seconds. Every connection is a visitor of its own.
 *
 * @returns operations, seconds, `cpuUs` of the application in all, and latencies in microseconds
 */
export async function measure({ name, remote, url, cookies }, duration) {
  let next = 0;
  const setupClient = (client) => client.setHeaders({ cookie: cookies[next++ % connections] });
  const cpuBefore = await remote.call("cpu");
  // Its clock ticks once a second unless told otherwise, and it ends at a tick.
  const result = await autocannon({ url, connections, duration, setupClient, sampleInt: 20 });
  const cpuUs = (await remote.call("cpu")) - cpuBefore;
  if (result.errors + result.non2xx + result.timeouts > 0) {
    throw new Error(
      `${name}: ${result.non2xx} answers beside 2xx, ${result.errors} errors, ${result.timeouts} timeouts`,
    );
  }
  const { "2xx": operations, duration: seconds, latency } = result;
  return { operations, seconds, cpuUs, p50Us: latency.p50 * 1_000, p99Us: latency.p99 * 1_000 };
}

function summary(slices) {
  const sum = (field) => slices.reduce((total, slice) => total + slice[field], 0);
  const operations = sum("operations");
  return {
    opsPerSecond: operations / sum("seconds"),
    p50Us: sum("p50Us") / slices.length,
    p99Us: sum("p99Us") / slices.length,
    clientCpuUs: sum("cpuUs") / operations,
    serverCpuUs: sum("serverCpuUs") / operations,
  };
}
