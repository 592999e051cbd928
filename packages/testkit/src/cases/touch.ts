import assert from "node:assert/strict";
import type { UpdateResult } from "@sojourn/core/adapter";
import { type ConformanceCase, day, hour, idsOf, inEitherOrder, minute, openContenders, session } from "../case.js";

/** Promise 5: touch moves the deadline wherever it is kept, and nothing else. */
export const touchCases: readonly ConformanceCase[] = [
  {
    id: "touch/moves-the-deadline",
    promise: 5,
    title: "touch counts as activity and moves the deadline in get and listByUser",
    async run({ store, open, pass }) {
      const other = await open();
      const created = await store.create(session("a", { userId: "u" }));
      assert.equal(created.status, "created");
      await pass(5);
      assert.equal(await other.touch("a", { idleMs: 3 * hour }), true);
      const read = await store.get("a");
      assert.ok(read !== undefined);
      assert.ok(read.lastActiveAt > created.record.lastActiveAt, "touch is no activity");
      assert.equal(read.expiresAt - read.lastActiveAt, 3 * hour);
      const [listed] = await store.listByUser("u");
      assert.equal(listed?.expiresAt, read.expiresAt, "the list shows another deadline than get");
      assert.equal(listed?.lastActiveAt, read.lastActiveAt);
    },
  },
  {
    id: "touch/outlives-the-first-deadline",
    promise: 5,
    title: "a touched session lives past the deadline that it had, in every method",
    async run({ store, outlive, harness }) {
      // On a slow machine the touch may come too late: a longer lifetime is then tried.
      for (const life of [300, 2_000, 10_000]) {
        const start = performance.now();
        await store.create(session("a", { userId: "u", idleMs: life }));
        const touched = await store.touch("a", { idleMs: hour });
        if (!touched) {
          const slow = harness.pass === undefined && performance.now() - start > life / 2;
          assert.ok(slow, "touch misses a live session");
          continue;
        }
        await outlive(life);
        assert.equal((await store.get("a"))?.id, "a", "a touched session ended at its first deadline");
        assert.deepEqual(idsOf(await store.listByUser("u")), ["a"]);
        assert.equal((await store.update("a", { payload: "p" })).status, "updated");
        assert.deepEqual(await store.destroyByUser("u"), ["a"]);
        return;
      }
      assert.fail("the machine is too slow for this case");
    },
  },
  {
    id: "touch/never-beyond-the-end",
    promise: 5,
    title: "touch never moves the deadline beyond the absolute one",
    async run({ store, outlive }) {
      const created = await store.create(session("a", { userId: "u", idleMs: hour, absoluteMs: 2 * hour }));
      assert.equal(created.status, "created");
      assert.equal(await store.touch("a", { idleMs: day }), true);
      const read = await store.get("a");
      assert.equal(read?.expiresAt, created.record.endsAt);
      assert.equal(read?.endsAt, created.record.endsAt, "touch moved the absolute deadline");
      await store.create(session("short", { userId: "u", idleMs: 100, absoluteMs: 100 }));
      await store.touch("short", { idleMs: day });
      await outlive(100);
      assert.equal(await store.get("short"), undefined, "touch kept a session alive beyond its end");
      assert.deepEqual(idsOf(await store.listByUser("u")), ["a"]);
    },
  },
  {
    id: "touch/never-shortens-unasked",
    promise: 5,
    title: "touch never brings the deadline nearer by default",
    async run({ store }) {
      const created = await store.create(session("a", { idleMs: 5 * hour }));
      assert.equal(created.status, "created");
      assert.equal(await store.touch("a", { idleMs: minute }), true);
      assert.equal((await store.get("a"))?.expiresAt, created.record.expiresAt);
      assert.equal(await store.touch("a", { idleMs: minute, shorten: false }), true);
      assert.equal((await store.get("a"))?.expiresAt, created.record.expiresAt);
    },
  },
  {
    id: "touch/shortens-when-asked",
    promise: 5,
    title: "touch with shorten brings the deadline nearer, in every method",
    async run({ store, outlive }) {
      await store.create(session("a", { userId: "u", idleMs: 5 * hour }));
      assert.equal(await store.touch("a", { idleMs: 2 * hour, shorten: true }), true);
      const read = await store.get("a");
      assert.ok(read !== undefined);
      assert.equal(read.expiresAt - read.lastActiveAt, 2 * hour);
      assert.equal(await store.touch("a", { idleMs: 50, shorten: true }), true);
      await outlive(50);
      assert.equal(await store.get("a"), undefined, "a session lives on after a deadline that touch brought nearer");
      assert.deepEqual(await store.listByUser("u"), []);
    },
  },
  {
    id: "touch/nothing-else-is-activity",
    promise: 5,
    title: "a read, and a write or rename without idleMs, leave lastActiveAt unchanged",
    async run({ store, pass }) {
      await store.create(session("a", { userId: "u" }));
      const created = await store.get("a");
      await pass(20);
      await store.get("a");
      await store.listByUser("u");
      await store.update("a", { payload: "new", userId: "v" });
      await store.rename("a", "b", { payload: "newer" });
      const left = await store.get("b");
      assert.equal(left?.lastActiveAt, created?.lastActiveAt);
      assert.equal(left?.expiresAt, created?.expiresAt);
    },
  },
  {
    id: "touch/leaves-payload-and-user",
    promise: 5,
    title: "touch leaves payload, user and version as another store wrote them",
    async run({ store, open }) {
      const other = await open();
      await store.create(session("a", { userId: "u" }));
      await store.get("a");
      await other.update("a", { payload: "new", userId: "v" });
      assert.equal(await store.touch("a", { idleMs: 2 * hour }), true);
      const read = await other.get("a");
      assert.equal(read?.payload, "new", "touch wrote an old payload back");
      assert.equal(read?.userId, "v", "touch wrote an old user back");
      assert.equal(read?.version, 2);
      assert.deepEqual(idsOf(await store.listByUser("v")), ["a"]);
      assert.deepEqual(await store.listByUser("u"), []);
    },
  },
  {
    id: "race/longest-touch-wins",
    promise: 5,
    title: "of concurrent touches the longest deadline stays",
    async run({ store, open, rounds }) {
      const stores = await openContenders({ store, open }, 4);
      for (let round = 0; round < rounds; round++) {
        const id = `a${round}`;
        await store.create(session(id, { userId: "u" }));
        const idles = [3 * hour, 9 * hour, 5 * hour, 2 * hour];
        const touched = await Promise.all(idles.map((idleMs, n) => (stores[n] ?? store).touch(id, { idleMs })));
        assert.deepEqual(touched, [true, true, true, true]);
        const read = await store.get(id);
        assert.ok(read !== undefined);
        assert.ok(read.expiresAt - read.createdAt >= 9 * hour, "a shorter touch undid a longer one");
      }
    },
  },
  {
    id: "race/touch-keeps-a-write",
    promise: 5,
    title: "a touch at the same time as a write loses neither",
    async run({ store, open, rounds }) {
      const other = await open();
      for (let round = 0; round < rounds; round++) {
        const id = `a${round}`;
        await store.create(session(id, { userId: "u" }));
        const touch = (): Promise<boolean> => store.touch(id, { idleMs: 5 * hour });
        const update = (): Promise<UpdateResult> =>
          other.update(id, { payload: "new", userId: "v" }, { expectedVersion: 1 });
        const [touched, updated] = await inEitherOrder(round, touch, update);
        assert.equal(touched, true);
        assert.equal(updated.status, "updated");
        const read = await store.get(id);
        assert.ok(read !== undefined);
        assert.equal(read.payload, "new", "touch undid a write");
        assert.equal(read.version, 2);
        assert.ok(read.expiresAt - read.createdAt >= 5 * hour, "a write undid a touch");
      }
    },
  },
];
