/**
 * The goals of Sojourn, as ratios within one run. `of` and `to` name rows of the results; a goal without `to` is one of
 * an absolute figure. `referenceMeasure` is what counts of `to`, where that is something else.
 *
 * @typedef {{ suite: string, subject: string, operation: string, payloadBytes?: number, concurrency?: number,
 *   sessions?: number }} RowName
 * @typedef {{ what: string, measure: string, referenceMeasure?: string,
 *   of: RowName, to?: RowName, atLeast?: number, atMost?: number }} Goal
 */

const kilobyte = 1_024;
const connectRedis = ["connect-redis, node-redis 5", "connect-redis, node-redis 6"];

const titles = { redis: "Redis", postgres: "PostgreSQL", mysql: "MySQL", memcached: "Memcached", memory: "Memory" };
const verbs = { request: "read and keep alive" };

/** @type {readonly Goal[]} */
export const goals = [
  ...connectRedis.flatMap((peer) => [
    ...fasterThanPeer("Sojourn manager", peer),
    // Both through the same driver.
    ...fasterThanPeer(peer.replace("connect-redis", "Sojourn manager"), peer),
  ]),
  against("redis", "Sojourn store", "update", 64, "ioredis 6", { atLeast: 0.5 }),
  against("redis", "Sojourn store", "update", 1, "ioredis 6", { atLeast: 0.7 }),
  against("postgres", "Sojourn manager", "get", 1, "connect-pg-simple", { atLeast: 1.8 }),
  against("postgres", "Sojourn manager", "get", 64, "connect-pg-simple", { atLeast: 6 }),
  against("postgres", "Sojourn manager", "request", 64, "connect-pg-simple", { atLeast: 12 }),
  against("postgres", "Sojourn manager", "update", 1, "connect-pg-simple", { atLeast: 1.5 }),
  against("postgres", "Sojourn manager", "update", 64, "connect-pg-simple", { atLeast: 1.5 }),
  against("mysql", "Sojourn manager", "get", 1, "express-mysql-session", { atLeast: 1.8 }),
  against("mysql", "Sojourn manager", "get", 64, "express-mysql-session", { atLeast: 4 }),
  against("mysql", "Sojourn manager", "request", 64, "express-mysql-session", { atLeast: 5 }),
  against("memcached", "Sojourn manager, anonymous", "get", 64, "connect-memjs", { atLeast: 1 }),
  ...[kilobyte, 10 * kilobyte].flatMap((bytes) => [
    against("memory", "Sojourn manager", "get", 64, "memorystore", { atLeast: 1 }, bytes),
    against("memory", "Sojourn manager", "update", 64, "memorystore", { atLeast: 1 }, bytes),
    against("memory", "Sojourn store", "touch", 64, "memorystore", { atLeast: 100 }, bytes),
  ]),
  {
    what: "longest pause in ms while 500,000 of 1,000,000 sessions expire",
    measure: "longestPauseMs",
    of: { suite: "scale-memory", subject: "MemoryStore, 4 sessions a user", operation: "hold", sessions: 1_000_000 },
    atMost: 10,
  },
  {
    what: "bytes of a session at 1,000,000, against a Map of the same texts with a user index",
    measure: "bytesPerSession",
    of: { suite: "scale-memory", subject: "MemoryStore, 4 sessions a user", operation: "hold", sessions: 1_000_000 },
    to: {
      suite: "scale-memory",
      subject: "Map with user index, 4 sessions a user",
      operation: "hold",
      sessions: 1_000_000,
    },
    atMost: 1.25,
  },
  growth("scale-memory", "MemoryStore, 4 sessions a user", "hold", "listUs", "listUsBeside"),
  growth("scale-redis", "Sojourn", "list by user", "ms", "msBeside"),
  growth("scale-postgres", "Sojourn", "list by user", "ms", "msBeside"),
  {
    what: "p99 of 64 concurrent gets while 500,000 expired sessions are swept, against idle",
    measure: "p99Us",
    of: { suite: "scale-postgres", subject: "Sojourn", operation: "get, while it is swept", sessions: 1_000_000 },
    to: { suite: "scale-postgres", subject: "Sojourn", operation: "get, idle", sessions: 1_000_000 },
    atMost: 2,
  },
  ...["redis", "redis, node-redis 5", "redis, node-redis 6", "postgres"].map((store) =>
    served("express", `Sojourn, ${store}`, "a store that does nothing", 0.95),
  ),
  served("express", "Sojourn, postgres", "connect-pg-simple", 2.5),
  ...connectRedis.flatMap((peer) => [
    served("fastify", "Sojourn, redis", `@fastify/session, ${peer}`, 3),
    served("fastify", peer.replace("connect-redis", "Sojourn, redis"), `@fastify/session, ${peer}`, 3),
  ]),
  served("fastify", "Sojourn, postgres", "@fastify/session, connect-pg-simple", 5),
  served("fastify", "Sojourn, route without session", "no session", 0.95),
  served("fastify", "Sojourn, memory", "no session", 0.6),
];

function against(suite, subject, operation, concurrency, peer, bound, payloadBytes = kilobyte) {
  const row = { suite, operation, payloadBytes, concurrency };
  const callers = concurrency === 1 ? "1 caller" : `${concurrency} callers`;
  const level = subject.replace("Sojourn ", "");
  return {
    what: `${verbs[operation] ?? operation} through the ${level}, ${payloadBytes / kilobyte} KB, ${callers}, against ${peer}`,
    measure: "opsPerSecond",
    of: { ...row, subject },
    to: { ...row, subject: peer },
    ...bound,
  };
}

/** Above a peer of Redis by the factors of the goals. */
function fasterThanPeer(subject, peer) {
  const through = subject === "Sojourn manager" ? "" : ` through the ${subject.replace("Sojourn ", "")}`;
  return [
    against("redis", subject, "get", 64, peer, { atLeast: 1.3 }),
    {
      ...against("redis", subject, "get", 64, peer, { atMost: 0.8 }),
      measure: "clientCpuUs",
      what: `client CPU of get${through}, 64 callers, against ${peer}`,
    },
    against("redis", subject, "request", 64, peer, { atLeast: 2 }),
  ];
}

function served(suite, subject, peer, atLeast) {
  const row = { suite, operation: "request", payloadBytes: kilobyte, concurrency: 64 };
  return {
    what: `requests per second of ${subject}, against ${peer}`,
    measure: "opsPerSecond",
    of: { ...row, subject },
    to: { ...row, subject: peer },
    atLeast,
  };
}

function growth(suite, subject, operation, measure, referenceMeasure) {
  const row = { suite, subject, operation, sessions: 1_000_000 };
  return {
    what: "listing the sessions of a user, at 1,000,000 sessions against 10,000",
    measure,
    referenceMeasure,
    of: row,
    to: row,
    atMost: 1.5,
  };
}

/** As it stands in the table of goals. No two goals have the same. */
export function nameOf({ of, what }) {
  return `${titleOf(of.suite)}: ${what}`;
}

/** The text before the goals of a suite. */
function titleOf(suite) {
  const name = suite.replace("scale-", "");
  return titles[name] ?? `${name[0].toUpperCase()}${name.slice(1)}`;
}
