import assert from "node:assert/strict";
import { type ConformanceCase, day, hour, idsOf, minute, session } from "../case.js";

/** Promise 3 and 15, for sessions taken over from elsewhere with their age and version. */
export const takeoverCases: readonly ConformanceCase[] = [
  {
    id: "create/keeps-its-age",
    promise: 3,
    title: "a session taken over keeps its age, its last activity and its version, and its deadlines count from now",
    async run({ store, open }) {
      const other = await open();
      const taken = { ageMs: 400 * day, inactiveMs: 20 * minute, version: 1_000_000_000 };
      const created = await store.create(session("a", { userId: "u", idleMs: hour, absoluteMs: 2 * hour, ...taken }));
      assert.equal(created.status, "created");
      const read = await other.get("a");
      for (const record of [created.record, read]) {
        assert.ok(record !== undefined);
        const { createdAt, lastActiveAt, expiresAt, endsAt } = record;
        assert.equal(lastActiveAt - createdAt, taken.ageMs - taken.inactiveMs, "the age or the last activity is lost");
        assert.equal(expiresAt - createdAt, taken.ageMs + hour, "the idle deadline does not count from now");
        assert.equal(endsAt - createdAt, taken.ageMs + 2 * hour, "the absolute deadline does not count from now");
        assert.equal(record.version, taken.version);
      }
      const updated = await other.update("a", { payload: "p" }, { expectedVersion: taken.version });
      assert.equal(updated.status, "updated");
      assert.equal(updated.record.version, taken.version + 1);
      assert.equal(updated.record.createdAt, created.record.createdAt, "a write moved createdAt");
      const renamed = await store.rename("a", "b", {}, { expectedVersion: taken.version + 1 });
      assert.equal(renamed.status, "renamed");
      assert.equal(renamed.record.createdAt, created.record.createdAt, "a rename moved createdAt");
    },
  },
  {
    id: "create/aged-in-order",
    promise: 15,
    title: "a session taken over stands in lists by its age, and is the first to be evicted",
    async run({ store, pass }) {
      await store.create(session("young", { userId: "u" }));
      await pass(5);
      await store.create(session("old", { userId: "u", ageMs: 30 * day }));
      await store.create(session("middle", { userId: "u", ageMs: day }));
      assert.deepEqual(idsOf(await store.listByUser("u")), ["old", "middle", "young"]);
      const limit = { max: 3, whenReached: "evictOldest" } as const;
      const created = await store.create(session("new", { userId: "u" }), { limit });
      assert.equal(created.status, "created");
      assert.deepEqual(created.evicted, ["old"]);
      assert.deepEqual(idsOf(await store.listByUser("u")), ["middle", "young", "new"]);
      await store.create(session("anonymous", { ageMs: 60 * day }));
      const gained = await store.update("anonymous", { userId: "u" }, { limit });
      assert.equal(gained.status, "updated");
      assert.deepEqual(gained.evicted, ["middle"], "the session that gains the user was evicted, or the wrong one");
    },
  },
  {
    id: "create/refuses-bad-ages",
    promise: 3,
    title: "an age, an inactivity or a version out of range is refused, and nothing is stored",
    async run({ store }) {
      const inputs = [
        ...[-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY].map((ageMs) => ({ ageMs })),
        { inactiveMs: 1 },
        { ageMs: 10, inactiveMs: 11 },
        ...[0, -1, 1.5, Number.NaN, 1_000_000_001].map((version) => ({ version })),
      ];
      for (const input of inputs) {
        const refused = { name: "SessionError", code: "INVALID_ARGUMENT" };
        await assert.rejects(() => store.create(session("a", input)), refused, JSON.stringify(input));
      }
      assert.equal(await store.get("a"), undefined);
    },
  },
];

/** Promise 18: the absolute deadline at a login. */
export const absoluteDeadlineCases: readonly ConformanceCase[] = [
  {
    id: "rename/restarts-the-absolute-deadline",
    promise: 18,
    title: "a rename with absoluteMs gives a new absolute deadline, which touches and writes then reach",
    async run({ store, open, pass }) {
      const other = await open();
      await store.create(session("a", { idleMs: minute, absoluteMs: minute }));
      await pass(5);
      const renamed = await store.rename("a", "b", { userId: "u", idleMs: hour, absoluteMs: 2 * hour });
      assert.equal(renamed.status, "renamed");
      const { lastActiveAt, expiresAt, endsAt } = renamed.record;
      assert.equal(endsAt - lastActiveAt, 2 * hour, "the absolute deadline does not count from the rename");
      assert.equal(expiresAt - lastActiveAt, hour, "the old absolute deadline caps the new idle one");
      const read = await other.get("b");
      assert.deepEqual({ ...read, now: 0 }, { ...renamed.record, now: 0 });
      assert.equal(await other.touch("b", { idleMs: 9 * hour }), true);
      assert.equal((await store.get("b"))?.expiresAt, endsAt);
      const [listed] = await store.listByUser("u");
      assert.equal(listed?.endsAt, endsAt);
    },
  },
  {
    id: "rename/nearer-absolute-deadline",
    promise: 18,
    title:
      "a nearer absolute deadline caps the idle one, also where the rename leaves that alone, and ends the session",
    async run({ store, open, outlive }) {
      const other = await open();
      await store.create(session("a", { userId: "u", idleMs: hour, absoluteMs: day }));
      const renamed = await store.rename("a", "b", { absoluteMs: 2_000 });
      assert.equal(renamed.status, "renamed");
      const { expiresAt, endsAt } = renamed.record;
      assert.equal(expiresAt, endsAt, "the idle deadline lies beyond the absolute one");
      assert.equal(renamed.record.version, 1, "a change of deadlines alone is no write");
      assert.equal(await other.touch("b", { idleMs: hour }), true);
      assert.equal((await other.get("b"))?.expiresAt, endsAt, "a touch passes the absolute deadline");
      await outlive(2_000);
      assert.equal(await store.get("b"), undefined, "the session outlived its absolute deadline");
      assert.deepEqual(await store.listByUser("u"), []);
    },
  },
];
