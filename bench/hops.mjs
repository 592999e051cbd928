/**
 *     pnpm bench hops [--url postgres://…]
 *
 * Counts the work of one read and one save of express-session's protocol on PostgreSQL: promises, timers and JSON
 * conversions, of this library and of `pg` apart. Counts do not depend on the machine.
 */
import { createHook } from "node:async_hooks";
import { parseArgs } from "node:util";
import { ExpressSessionStore } from "@sojourn/express-session";
import { PostgresStore } from "@sojourn/postgres";
import { startPostgres } from "@sojourn/test-fixtures";
import pg from "pg";

const { values } = parseArgs({ options: { url: { type: "string" } } });
const waiting = setInterval(() => {}, 60_000);
const server = values.url === undefined ? await startPostgres() : { url: values.url, stop: async () => {} };
const pool = new pg.Pool({ connectionString: server.url, max: 1 });
const backend = new PostgresStore({ pool, table: `hops_${process.pid}` });
await backend.ensureSchema();
const store = new ExpressSessionStore({ store: backend, sweep: false, touchAfter: 0 });
const sid = "a session id of express-session";
const request = { sessionStore: store };
store.generate = (req) => {
  req.sessionID = sid;
  store.createSession(req, { cookie: { originalMaxAge: 60_000, expires: new Date(Date.now() + 60_000) } });
};
store.generate(request);
request.session.user = "42";
await store.set(sid, request.session);

const rows = {};
for (const [name, run] of [
  ["read", () => store.get(sid)],
  ["save", async (session) => store.set(sid, session)],
]) {
  // Once before, so that statements are prepared and code has run.
  let least;
  for (let turn = 0; turn < 5; turn++) {
    const data = await store.get(sid);
    const session = store.createSession({ sessionStore: store, sessionID: sid }, data);
    session.count = turn;
    await new Promise((resolve) => setTimeout(resolve, 20));
    const counts = await counted(() => run(session));
    if (least === undefined || counts.promises < least.promises) least = counts;
  }
  rows[name] = least;
}
console.table(rows);
await pool.end();
await server.stop();
clearInterval(waiting);

async function counted(run) {
  const counts = { promises: 0, "timers, ours": 0, "timers, pg": 0, stringify: 0, parse: 0, ticks: 0 };
  const hook = createHook({
    init(_id, type) {
      if (type === "PROMISE") counts.promises += 1;
      if (type === "TickObject" || type === "Immediate") counts.ticks += 1;
      if (type !== "Timeout") return;
      counts[/[\\/]pg(-pool)?[\\/]/.test(new Error().stack) ? "timers, pg" : "timers, ours"] += 1;
    },
  });
  const { stringify, parse } = JSON;
  JSON.stringify = (...args) => {
    counts.stringify += 1;
    return stringify(...args);
  };
  JSON.parse = (...args) => {
    counts.parse += 1;
    return parse(...args);
  };
  hook.enable();
  try {
    await run();
  } finally {
    hook.disable();
    Object.assign(JSON, { stringify, parse });
  }
  return counts;
}
