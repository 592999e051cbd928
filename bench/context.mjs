/**
 * Measures the cost of the context: processor time of the server for each request with and without it, and one by one what it does.
 *
 *     pnpm bench context [requests] [rounds]
 *
 * Each server is a process of its own, because Node slows every promise down once anything in a process uses
 * AsyncLocalStorage. They are asked in turns, so that what else the machine does meets all of them.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { fork } from "node:child_process";
import { once } from "node:events";
import { devNull } from "node:os";
import { fileURLToPath } from "node:url";
import { contextConsole, createContext, expressContext, fastifyContext, pinoMixin } from "@sojourn/context";
import autocannon from "autocannon";
import express from "express";
import Fastify from "fastify";
import pino from "pino";

const connections = 32;
/** The promises that a request awaits, such as a session, a user and a query. */
const awaits = 10;

const servers = {
  Express: () => serveExpress(undefined),
  "Express, with context": () => serveExpress(createContext()),
  Fastify: () => serveFastify(undefined),
  "Fastify, with context": () => serveFastify(createContext()),
};

const [amount = "20000", rounds = "7", name] = process.argv.slice(2);
if (name === undefined) await compare(Number(amount), Number(rounds));
else await serve(name);

async function compare(requests, rounds) {
  const running = await Promise.all(Object.keys(servers).map(start));
  for (const server of running) await measure(server, Math.ceil(requests / 4));
  const samples = Array.from({ length: rounds }, () => []);
  for (const sample of samples) for (const server of running) sample.push(await measure(server, requests));
  for (const { child } of running) child.disconnect();

  const perRequest = running.map((_, index) => median(samples.map((sample) => sample[index])));
  const ratios = running.map((_, index) => {
    const base = index - (index % 2);
    return samples.map((sample) => sample[index] / sample[base]).sort((a, b) => a - b);
  });
  const result = {
    node: process.version,
    requests,
    rounds,
    servers: Object.fromEntries(
      running.map(({ name }, index) => [
        name,
        {
          "µs of processor time per request": round(perRequest[index]),
          ratio: round(median(ratios[index])),
          least: round(ratios[index].at(0)),
          most: round(ratios[index].at(-1)),
        },
      ]),
    ),
    operations: operations(),
  };
  console.table(result.servers);
  console.table(result.operations);
  console.log(JSON.stringify(result));
}

async function start(name) {
  const child = fork(fileURLToPath(import.meta.url), ["0", "0", name]);
  const [url] = await once(child, "message");
  return { name, child, url };
}

async function measure({ child, url }, requests) {
  const before = await cpu(child);
  const { non2xx, errors } = await autocannon({ url, connections, amount: requests });
  if (non2xx + errors > 0) throw new Error(`${non2xx + errors} requests of ${url} failed`);
  return ((await cpu(child)) - before) / requests;
}

async function cpu(child) {
  child.send("cpu");
  const [micros] = await once(child, "message");
  return micros;
}

async function serve(name) {
  const url = await servers[name]();
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send(user + system);
  });
  process.once("disconnect", () => process.exit());
  process.send(url);
}

async function serveExpress(context) {
  const logger = log(context);
  const app = express();
  if (context) app.use(expressContext(context, { requestIdHeader: "x-request-id" }));
  app.get("/", async (_req, res) => {
    res.json(await work(logger));
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${server.address().port}`;
}

async function serveFastify(context) {
  const logger = log(context);
  const app = Fastify();
  if (context) app.register(fastifyContext(context, { requestIdHeader: "x-request-id" }));
  app.get("/", () => work(logger));
  return app.listen({ port: 0, host: "127.0.0.1" });
}

function log(context) {
  return pino(context ? { mixin: pinoMixin(context) } : {}, pino.destination(devNull));
}

async function work(logger) {
  for (let n = 0; n < awaits; n++) await Promise.resolve(n);
  logger.info("done");
  return { ok: true };
}

/** Nanoseconds of one call each. */
function operations() {
  const context = createContext();
  const storage = new AsyncLocalStorage();
  const values = { requestId: "5e0f7b6e-8c0a-4a53-9d0e-4f4a8f0a7f11", sessionId: "s".repeat(43), userId: "42" };
  const nothing = () => {};
  const sink = { ...console, info: nothing };
  const [plain, mixed] = [undefined, context].map(log);
  const withIds = contextConsole(context, sink);
  const timed = {
    "AsyncLocalStorage.run": () => storage.run(values, nothing),
    "runWithContext, three values": () => context.runWithContext(values, nothing),
    get: () => context.get("userId"),
    getContext: () => context.getContext(),
    "a line of pino": () => plain.info("done"),
    "a line of pino, with pinoMixin": () => mixed.info("done"),
    "a line of contextConsole": () => withIds.info("done"),
  };
  return context.runWithContext(values, () => {
    const samples = Object.fromEntries(Object.keys(timed).map((name) => [name, []]));
    for (let turn = 0; turn < 9; turn++) {
      for (const [name, call] of Object.entries(timed)) samples[name].push(nanoseconds(call));
    }
    return Object.fromEntries(Object.entries(samples).map(([name, all]) => [name, { ns: Math.round(median(all)) }]));
  });
}

function nanoseconds(call, times = 50_000) {
  const startedAt = process.hrtime.bigint();
  for (let n = 0; n < times; n++) call();
  return Number(process.hrtime.bigint() - startedAt) / times;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

function round(value) {
  return Math.round(value * 100) / 100;
}
