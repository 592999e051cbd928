import { setTimeout as sleep } from "node:timers/promises";
import type { SessionStore } from "@sojourn/core";
import { resolveMemcached } from "@sojourn/test-fixtures";
import { afterAll, describe, expect, test, vi } from "vitest";
import { clientOf, onEachRequest, openOn } from "./harness.js";

const server = await resolveMemcached();
const opened: SessionStore[] = [];

afterAll(async () => {
  await Promise.all(opened.map((store) => store.close()));
  await server.stop();
});

const hour = 3_600_000;
const lifetime = { payload: "p", idleMs: hour, absoluteMs: 24 * hour };
/** Longer than a claim lasts. */
const stallMs = 20_000;
let namespaces = 0;

type Operation = (store: SessionStore) => Promise<unknown>;

const renames: readonly [name: string, userId: string | undefined, rename: Operation][] = [
  ["a rename", "u", (store) => store.rename("a", "new")],
  ["a rename to another user", "u", (store) => store.rename("a", "new", { userId: "v" })],
  ["a rename with log-out", "u", (store) => store.rename("a", "new", { userId: null })],
  ["a login", undefined, (store) => store.rename("a", "new", { userId: "v" })],
];

/** Another process's write to the old id, what it answers when it is accepted, and what is then true of the session. */
const writes: readonly [name: string, accepted: unknown, effect: object, write: Operation][] = [
  ["an update", updated(), { payload: "q" }, (store) => store.update("a", { payload: "q" })],
  ["a touch", true, { lifetimeHours: 3 }, (store) => store.touch("a", { idleMs: 3 * hour })],
  ["a move", updated(), { payload: "q" }, (store) => store.update("a", { payload: "q", userId: "w" })],
  ["a log-out", updated(), { payload: "q" }, (store) => store.update("a", { payload: "q", userId: null })],
];

/**
 * The rename is held after each number of requests, until its claim on the session is over. Its own clock stands still, as
 * on a machine that was paused: what keeps it from undoing the write has to be in memcached.
 */
describe.each(renames)("%s that stalls past its claim", (_, userId, rename) => {
  test.each(writes)("undoes no part of %s that was accepted meanwhile", async (_write, accepted, effect, write) => {
    let acceptances = 0;
    for (let allowed = 0, isHeld = true; isHeld; allowed++) {
      expect(allowed).toBeLessThan(40);
      const namespace = `stalled ${process.pid} ${namespaces++}`;
      const witness = await openOn(clientOf(server.url), { namespace });
      const client = clientOf(server.url);
      const stalling = await openOn(client, { namespace });
      opened.push(witness, stalling);
      await witness.create({ id: "a", userId, ...lifetime });

      let release = (): void => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      let sent = 0;
      const applied = onEachRequest(client, () => (sent++ < allowed ? Promise.resolve() : released));
      let isFinished = false;
      const renaming = rename(stalling).finally(() => {
        isFinished = true;
      });
      while (sent <= allowed && !isFinished) await sleep(1);
      isHeld = !isFinished;
      await applied();
      const outcome = await later(stallMs, () => write(witness));
      release();
      await renaming;

      const records = [await witness.get("a"), await witness.get("new")].flatMap((record) => record ?? []);
      const explanation = `held after ${allowed} requests`;
      expect(records, explanation).toHaveLength(1);
      const [record] = records;
      for (const user of ["u", "v", "w"]) {
        const listed = (await witness.listByUser(user)).map(({ id }) => id);
        expect(listed, explanation).toEqual(record?.userId === user ? [record.id] : []);
      }
      if (!matches(outcome, accepted)) continue;
      acceptances++;
      const lifetimeHours = record && Math.round((record.expiresAt - record.createdAt) / hour);
      expect({ ...record, lifetimeHours }, explanation).toMatchObject(effect);
    }
    expect(acceptances).toBeGreaterThan(0);
  });
});

function updated(): object {
  return expect.objectContaining({ status: "updated" });
}

function matches(outcome: unknown, accepted: unknown): boolean {
  return expect.objectContaining({ outcome: accepted }).asymmetricMatch({ outcome });
}

/** Runs an operation as if the time were later. */
async function later<T>(ms: number, operation: () => Promise<T>): Promise<T> {
  const monotonic = performance.now.bind(performance);
  const clock = vi.spyOn(performance, "now").mockImplementation(() => monotonic() + ms);
  try {
    return await operation();
  } finally {
    clock.mockRestore();
  }
}
