import assert from "node:assert/strict";
import { type ConformanceCase, hour, minute, openContenders, session } from "../case.js";

/** Promise 2: no lost update. */
export const writeCases: readonly ConformanceCase[] = [
  {
    id: "update/answers-the-record",
    promise: 2,
    title: "update answers the session as written, and other stores read the same",
    async run({ store, open }) {
      const other = await open();
      await store.create(session("a", { userId: "u" }));
      const updated = await store.update("a", { payload: "new" });
      assert.equal(updated.status, "updated");
      assert.equal(updated.record.payload, "new");
      assert.equal(updated.record.userId, "u");
      assert.deepEqual(updated.evicted, []);
      const { now: _, ...written } = updated.record;
      const read = await other.get("a");
      assert.ok(read !== undefined, "the other store does not see the session");
      const { now: __, ...same } = read;
      assert.deepEqual(same, written);
    },
  },
  {
    id: "version/counts-writes",
    promise: 2,
    title: "the version is 1 at creation and one more with each write of payload or user",
    async run({ store }) {
      await store.create(session("a"));
      assert.equal((await store.get("a"))?.version, 1);
      await store.update("a", { payload: "p" });
      assert.equal((await store.get("a"))?.version, 2, "a write of the payload did not count once");
      await store.update("a", { userId: "u" });
      assert.equal((await store.get("a"))?.version, 3, "a change of user did not count once");
      await store.update("a", { payload: "q", userId: null });
      assert.equal((await store.get("a"))?.version, 4, "a write of payload and user did not count once");
      await store.rename("a", "b", { payload: "r" });
      assert.equal((await store.get("b"))?.version, 5, "a write in a rename did not count once");
      await store.update("b", { payload: "r" });
      assert.equal((await store.get("b"))?.version, 6, "a write of the payload already stored did not count");
    },
  },
  {
    id: "version/touch-leaves-it",
    promise: 2,
    title: "touch, a bare rename and an update of the deadline alone leave the version",
    async run({ store }) {
      await store.create(session("a"));
      await store.touch("a", { idleMs: 2 * hour });
      assert.equal((await store.get("a"))?.version, 1, "touch counted as a write");
      await store.update("a", { idleMs: 3 * hour });
      assert.equal((await store.get("a"))?.version, 1, "an update of the deadline counted as a write");
      await store.rename("a", "b");
      assert.equal((await store.get("b"))?.version, 1, "a rename without a change counted as a write");
    },
  },
  {
    id: "update/expected-version-wins",
    promise: 2,
    title: "update with the stored version is written",
    async run({ store }) {
      await store.create(session("a"));
      const updated = await store.update("a", { payload: "new" }, { expectedVersion: 1 });
      assert.equal(updated.status, "updated");
      assert.equal(updated.record.version, 2);
    },
  },
  {
    id: "update/conflict-shows-the-winner",
    promise: 2,
    title: "update with an older version writes nothing and answers the record that won",
    async run({ store, open }) {
      const other = await open();
      await store.create(session("a", { userId: "u" }));
      await other.update("a", { payload: "winner", userId: "v" }, { expectedVersion: 1 });
      const lost = await store.update("a", { payload: "loser", userId: "w", idleMs: minute }, { expectedVersion: 1 });
      assert.equal(lost.status, "conflict");
      assert.equal(lost.current.payload, "winner");
      assert.equal(lost.current.userId, "v");
      assert.equal(lost.current.version, 2);
      const read = await store.get("a");
      assert.equal(read?.payload, "winner", "a refused write was stored");
      assert.equal(read?.version, 2);
      assert.equal(read?.expiresAt, lost.current.expiresAt, "a refused write moved the deadline");
      assert.deepEqual(await store.listByUser("w"), []);
    },
  },
  {
    id: "update/touch-is-no-conflict",
    promise: 2,
    title: "a touch between reading and writing is no conflict",
    async run({ store, open }) {
      const other = await open();
      await store.create(session("a"));
      await other.touch("a", { idleMs: 2 * hour });
      const updated = await store.update("a", { payload: "new" }, { expectedVersion: 1 });
      assert.equal(updated.status, "updated");
    },
  },
  {
    id: "update/user-change-is-a-write",
    promise: 2,
    title: "a change of user between reading and writing is a conflict",
    async run({ store, open }) {
      const other = await open();
      await store.create(session("a", { userId: "u" }));
      await other.update("a", { userId: "v" });
      const lost = await store.update("a", { payload: "for u" }, { expectedVersion: 1 });
      assert.equal(lost.status, "conflict", "a session that changed hands was written");
    },
  },
  {
    id: "update/omitted-fields-stay",
    promise: 2,
    title: "members that a change omits stay as they are",
    async run({ store }) {
      const created = await store.create(session("a", { userId: "u", payload: "p" }));
      assert.equal(created.status, "created");
      const { expiresAt, lastActiveAt, createdAt, endsAt } = created.record;
      const withPayload = await store.update("a", { payload: "q" });
      assert.equal(withPayload.status, "updated");
      assert.equal(withPayload.record.userId, "u", "a write of the payload changed the user");
      assert.equal(withPayload.record.expiresAt, expiresAt, "a write of the payload moved the deadline");
      assert.equal(withPayload.record.lastActiveAt, lastActiveAt, "a write without idleMs counted as activity");
      const withUser = await store.update("a", { userId: "v" });
      assert.equal(withUser.status, "updated");
      assert.equal(withUser.record.payload, "q", "a change of user changed the payload");
      assert.equal(withUser.record.expiresAt, expiresAt, "a change of user moved the deadline");
      assert.equal(withUser.record.createdAt, createdAt);
      assert.equal(withUser.record.endsAt, endsAt);
    },
  },
  {
    id: "update/empty-change",
    promise: 2,
    title: "an empty change writes nothing and answers as a write does",
    async run({ store }) {
      const created = await store.create(session("a", { userId: "u" }));
      assert.equal(created.status, "created");
      const { now: _, ...before } = created.record;
      const updated = await store.update("a", {}, { expectedVersion: 1 });
      assert.equal(updated.status, "updated");
      const { now: __, ...after } = updated.record;
      assert.deepEqual(after, before);
      assert.equal((await store.update("a", {}, { expectedVersion: 2 })).status, "conflict");
      assert.deepEqual(await store.update("unknown", {}), { status: "missing" });
    },
  },
  {
    id: "race/one-writer-wins",
    promise: 2,
    title: "of many updates that expect one version exactly one is written, and the others see it",
    async run({ store, open, rounds }) {
      const stores = await openContenders({ store, open }, 8);
      for (let round = 0; round < rounds; round++) {
        const id = `a${round}`;
        await store.create(session(id));
        const results = await Promise.all(
          Array.from({ length: 8 }, (_, n) =>
            (stores[n] ?? store).update(id, { payload: `writer ${n}` }, { expectedVersion: 1 }),
          ),
        );
        const winners = results.filter(({ status }) => status === "updated");
        assert.equal(winners.length, 1, `${winners.length} of 8 writers won`);
        const read = await store.get(id);
        assert.equal(read?.version, 2);
        for (const [n, result] of results.entries()) {
          if (result.status === "updated") assert.equal(read?.payload, `writer ${n}`, "an accepted write was lost");
          else {
            assert.equal(result.status, "conflict");
            assert.equal(result.current.version, 2, "a conflict showed the record before the write that won");
            assert.equal(result.current.payload, read?.payload);
          }
        }
      }
    },
  },
  {
    id: "race/no-increment-is-lost",
    promise: 2,
    title: "counters kept by read, update and retry add up, with touches in between",
    async run({ store, open, rounds }) {
      const stores = await openContenders({ store, open }, 4);
      await store.create(session("counter", { payload: "0" }));
      const increments = Math.max(2, Math.round(rounds / 4));
      const increment = async (own: typeof store): Promise<void> => {
        for (let attempt = 0; attempt < 1_000; attempt++) {
          const read = await own.get("counter");
          assert.ok(read !== undefined, "the session vanished");
          const { status } = await own.update(
            "counter",
            { payload: String(Number(read.payload) + 1) },
            { expectedVersion: read.version },
          );
          if (status === "updated") return;
          assert.equal(status, "conflict");
        }
        assert.fail("a writer met a conflict 1,000 times in a row");
      };
      const writers = Array.from({ length: 4 }, async (_, n) => {
        const own = stores[n] ?? store;
        for (let i = 0; i < increments; i++) {
          await increment(own);
          await own.touch("counter", { idleMs: 2 * hour });
        }
      });
      await Promise.all(writers);
      const read = await store.get("counter");
      assert.equal(read?.payload, String(4 * increments), "an increment was lost");
      assert.equal(read?.version, 1 + 4 * increments);
    },
  },
  {
    id: "race/one-creator-wins",
    promise: 2,
    title: "of many creates of one id exactly one creates, and its session is the one stored",
    async run({ store, open, rounds }) {
      const stores = await openContenders({ store, open }, 6);
      for (let round = 0; round < rounds; round++) {
        const id = `a${round}`;
        const results = await Promise.all(
          Array.from({ length: 6 }, (_, n) =>
            (stores[n] ?? store).create(session(id, { userId: `u${n}`, payload: `creator ${n}` })),
          ),
        );
        const winner = results.findIndex(({ status }) => status === "created");
        const statuses = results.map(({ status }) => status).sort();
        assert.deepEqual(statuses, ["created", ...Array(5).fill("duplicate")]);
        const read = await store.get(id);
        assert.equal(read?.payload, `creator ${winner}`);
        assert.equal(read?.userId, `u${winner}`);
        const listings = await Promise.all(results.map((_, n) => store.listByUser(`u${n}`)));
        const listed = listings.flatMap((records, n) => (records.some((record) => record.id === id) ? [n] : []));
        assert.deepEqual(listed, [winner], "a user who did not get the session has it in the list");
      }
    },
  },
];
