import type { SessionRecord, SessionStore } from "@sojourn/core/adapter";
import { resolveMemcached } from "@sojourn/test-fixtures";
import { afterAll, describe, expect, test } from "vitest";
import { clientOf, holdAfter, later, openOn } from "./harness.js";

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

/** A write of another process to the old id, its answer when it is accepted, and its effect on the session. */
const writes: readonly [name: string, accepted: unknown, effect: object, write: Operation][] = [
  ["an update", updated(), { payload: "q" }, (store) => store.update("a", { payload: "q" })],
  ["a touch", true, { lifetimeHours: 3 }, (store) => store.touch("a", { idleMs: 3 * hour })],
  ["a move", updated(), { payload: "q" }, (store) => store.update("a", { payload: "q", userId: "w" })],
  ["a log-out", updated(), { payload: "q" }, (store) => store.update("a", { payload: "q", userId: null })],
];

/**
 * The rename is held after each number of requests, until its claim on the session is over. Its own clock stands still, as
 * on a machine that was paused: only items in memcached can keep it from undoing the write.
 */
describe.each(renames)("%s that stalls past its claim", (_, userId, rename) => {
  test.each(writes)("undoes no part of %s that was accepted meanwhile", async (_write, accepted, effect, write) => {
    let acceptances = 0;
    for (let requests = 0, isHeld = true; isHeld; requests++) {
      expect(requests).toBeLessThan(40);
      const namespace = `stalled ${process.pid} ${namespaces++}`;
      const witness = await openOn(clientOf(server.url), { namespace });
      opened.push(witness);
      await witness.create({ id: "a", userId, ...lifetime });

      const held = await holdAfter(requests, server.url, namespace, rename);
      isHeld = held.isHeld;
      const outcome = await later(stallMs, () => write(witness));
      held.release();
      await held.outcome;
      await held.close();

      const explanation = `held after ${requests} requests`;
      const record = await onlyRecord(witness, explanation);
      if (!matches(outcome, accepted)) continue;
      acceptances++;
      const lifetimeHours = record && Math.round((record.expiresAt - record.createdAt) / hour);
      expect({ ...record, lifetimeHours }, explanation).toMatchObject(effect);
    }
    expect(acceptances).toBeGreaterThan(0);
  });
});

/** Returns the session under its old or its new id, which its user's list, and no other, must show. */
async function onlyRecord(witness: SessionStore, explanation: string): Promise<SessionRecord | undefined> {
  const records = [await witness.get("a"), await witness.get("new")].flatMap((record) => record ?? []);
  expect(records, explanation).toHaveLength(1);
  const [record] = records;
  for (const user of ["u", "v", "w"]) {
    const listed = (await witness.listByUser(user)).map(({ id }) => id);
    expect(listed, explanation).toEqual(record?.userId === user ? [record.id] : []);
  }
  return record;
}

function updated(): object {
  return expect.objectContaining({ status: "updated" });
}

function matches(outcome: unknown, accepted: unknown): boolean {
  return expect.objectContaining({ outcome: accepted }).asymmetricMatch({ outcome });
}
