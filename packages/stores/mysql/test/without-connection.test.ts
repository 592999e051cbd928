import { SessionManager, type SessionStore } from "@sojourn/core";
import { type MySQLConnection, type MySQLPool, MySQLStore } from "@sojourn/mysql";
import { resolveMySQL } from "@sojourn/test-fixtures";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openPool } from "./harness.js";

const hour = 3_600_000;
const session = { payload: "p", idleMs: hour, absoluteMs: hour };
const unavailable = { code: "UNAVAILABLE", outcomeUnknown: false, retryable: true };
const table = `withheld_${process.pid}`;

const server = await resolveMySQL();
const pool = openPool(server.url);
const patient = new MySQLStore({ pool, table, timeoutMs: 10_000 });
beforeAll(() => patient.ensureSchema());
afterAll(async () => {
  await pool.query(`DROP TABLE ${table}, ${table}_guards`);
  await pool.end();
  await server.stop();
});

/** A pool that lends connections only while it is told to, and remembers who waits. */
class WithholdingPool implements MySQLPool {
  lends = false;
  /** Statements sent on its connections. */
  sent = 0;
  readonly #waiting: ((error: Error | null, connection: MySQLConnection) => void)[] = [];

  getConnection(callback: (error: Error | null, connection: MySQLConnection) => void): void {
    if (!this.lends) this.#waiting.push(callback);
    else
      pool.pool.getConnection((error, connection) => callback(error, error ? connection : this.#counting(connection)));
  }

  promise(): unknown {
    return undefined;
  }

  /** Serves everyone who waits. */
  async lend(): Promise<void> {
    this.lends = true;
    for (const callback of this.#waiting.splice(0)) this.getConnection(callback);
    // Every connection has been lent and returned when ten more come and go.
    const connections = await Promise.all(Array.from({ length: 10 }, () => pool.getConnection()));
    for (const connection of connections) connection.release();
  }

  #counting(connection: MySQLConnection): MySQLConnection {
    return {
      ...(connection.config && { config: connection.config }),
      execute: (query, values, callback) => {
        this.sent += 1;
        return connection.execute(query, values, callback);
      },
      query: (sql, callback) => {
        this.sent += 1;
        return connection.query(sql, callback);
      },
      release: () => connection.release(),
      destroy: () => connection.destroy(),
    };
  }
}

describe.each([true, false])("a pool that lends no connection, procedures: %s", (procedures) => {
  const open = (timeoutMs: number): { withholding: WithholdingPool; store: MySQLStore } => {
    const withholding = new WithholdingPool();
    return { withholding, store: new MySQLStore({ pool: withholding, table, procedures, timeoutMs }) };
  };

  test("every method of the store answers UNAVAILABLE, and nothing is sent afterwards", async () => {
    const { withholding, store } = open(100);
    const limit = { limit: { max: 1, whenReached: "evictOldest" } } as const;
    const calls: readonly (() => Promise<unknown>)[] = [
      () => store.get("s"),
      () => store.create({ id: "s", ...session }),
      () => store.create({ id: "t", userId: "u", ...session }, limit),
      () => store.update("s", { payload: "q" }),
      () => store.rename("s", "r", { userId: "u" }, limit),
      () => store.touch("s", { idleMs: hour }),
      () => store.destroy("s"),
      () => store.listByUser("u"),
      () => store.destroyByUser("u"),
      () => store.sweep({ limit: 1 }),
      () => store.count(),
      () => store.clear(),
      () => store.create({ id: "large", ...session, payload: "x".repeat(100_000) }),
    ];
    for (const outcome of await Promise.allSettled(calls.map((call) => call()))) {
      expect(outcome).toMatchObject({ status: "rejected", reason: unavailable });
    }
    await withholding.lend();
    expect(withholding.sent).toBe(0);
  });

  test("get, create and update by a manager answer UNAVAILABLE", async () => {
    const { store } = open(100);
    const manager = (over: SessionStore) =>
      new SessionManager({ store: over, idleTimeout: "30m", absoluteTimeout: "1h" });
    const created = await manager(patient).create({ data: { a: 1 } });
    const sessions = manager(store);
    await expect(sessions.get(created.token)).rejects.toMatchObject(unavailable);
    await expect(sessions.create({ data: {} })).rejects.toMatchObject(unavailable);
    await expect(sessions.update(created.token, (data) => ({ ...data, a: 2 }))).rejects.toMatchObject(unavailable);
  });

  test("a write that waited behind another of its session, and reads of one batch", async () => {
    const { withholding, store } = open(100);
    const writes = ["first", "second", "third"].map((payload) => store.update("s", { payload }));
    const reads = ["a", "b", "c"].map((id) => store.get(id));
    const logins = ["x", "y"].map((id) =>
      store.create({ id, userId: "v", ...session }, { limit: { max: 9, whenReached: "reject" } }),
    );
    for (const outcome of await Promise.allSettled([...writes, ...reads, ...logins])) {
      expect(outcome).toMatchObject({ status: "rejected", reason: unavailable });
    }
    await withholding.lend();
    expect(withholding.sent).toBe(0);
    // The session's turn, the user's turn and the places of the batches are free again.
    expect(await store.update("s", { payload: "q" })).toEqual({ status: "missing" });
    expect(await Promise.all(["a", "b"].map((id) => store.get(id)))).toEqual([undefined, undefined]);
    expect(await store.destroyByUser("v")).toEqual([]);
  });

  test("a member of a batch that ended before the batch was sent is not sent", async () => {
    const { withholding, store } = open(10_000);
    const early = store.get("early", {}, { timeoutMs: 50 });
    const late = store.get("late");
    await expect(early).rejects.toMatchObject(unavailable);
    await withholding.lend();
    expect(await late).toBeUndefined();
  });

  test("an abort drops what was not sent, and breaks no connection of what was", async () => {
    const { withholding, store } = open(10_000);
    const unsent = new AbortController();
    const waiting = store.create({ id: "unsent", ...session }, {}, { signal: unsent.signal });
    unsent.abort();
    await expect(waiting).rejects.toMatchObject({ code: "ABORTED", outcomeUnknown: false });
    await withholding.lend();
    expect(withholding.sent).toBe(0);

    await patient.create({ id: "held", ...session });
    const blocker = await pool.getConnection();
    await blocker.query("START TRANSACTION");
    await blocker.query(`SELECT * FROM ${table} WHERE id = 'held' FOR UPDATE`);
    const before = withholding.sent;
    const sent = new AbortController();
    const writing = store.touch("held", { idleMs: hour }, { signal: sent.signal });
    const written = store.update("held", { payload: "after" });
    await expect.poll(() => withholding.sent).toBeGreaterThan(before);
    sent.abort();
    await expect(writing).rejects.toMatchObject({ code: "ABORTED", outcomeUnknown: true });
    await blocker.query("COMMIT");
    blocker.release();
    expect(await written).toMatchObject({ status: "updated" });
    await patient.destroy("held");
  });
});
