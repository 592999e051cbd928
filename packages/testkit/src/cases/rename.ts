import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { type ConformanceCase, hour, idsOf, inEitherOrder, session } from "../case.js";

/** Promise 18: rename. */
export const renameCases: readonly ConformanceCase[] = [
  {
    id: "rename/moves-everything",
    promise: 18,
    title: "rename gives the session its new id, keeps the rest, and the old id is dead",
    async run({ store, open }) {
      const other = await open();
      await store.create(session("a", { userId: "u" }));
      await store.update("a", { payload: "p" });
      const before = await store.get("a");
      const renamed = await other.rename("a", "b");
      assert.equal(renamed.status, "renamed");
      assert.deepEqual(renamed.evicted, []);
      assert.deepEqual({ ...renamed.record, now: 0 }, { ...before, id: "b", now: 0 });
      const read = await store.get("b");
      assert.deepEqual({ ...read, now: 0 }, { ...before, id: "b", now: 0 });
      assert.equal(await store.get("a"), undefined, "the old id lives on");
      assert.deepEqual(await store.update("a", { payload: "late" }), { status: "missing" });
      assert.equal(await store.touch("a", { idleMs: hour }), false);
      assert.equal(await store.destroy("a"), undefined);
      assert.deepEqual(await store.rename("a", "c"), { status: "missing" });
      assert.equal((await store.get("b"))?.payload, "p");
      assert.equal((await store.create(session("a"))).status, "created", "the old id is not free");
    },
  },
  {
    id: "rename/with-a-change",
    promise: 18,
    title: "login is one step: new id, payload, user and deadline together",
    async run({ store, pass }) {
      const created = await store.create(session("a", { idleMs: 2 * hour }));
      assert.equal(created.status, "created");
      await pass(5);
      const renamed = await store.rename("a", "b", { payload: "hello", userId: "u", idleMs: hour });
      assert.equal(renamed.status, "renamed");
      const { record } = renamed;
      assert.equal(record.payload, "hello");
      assert.equal(record.userId, "u");
      assert.equal(record.version, 2);
      assert.ok(record.lastActiveAt > created.record.lastActiveAt, "a rename with idleMs is no activity");
      assert.equal(record.expiresAt - record.lastActiveAt, hour);
      assert.equal(record.createdAt, created.record.createdAt, "rename moved createdAt");
      assert.equal(record.endsAt, created.record.endsAt, "rename moved the absolute deadline");
      assert.deepEqual({ ...(await store.get("b")), now: 0 }, { ...record, now: 0 });
      assert.deepEqual(idsOf(await store.listByUser("u")), ["b"]);
      const logout = await store.rename("b", "c", { userId: null });
      assert.equal(logout.status, "renamed");
      assert.equal(logout.record.userId, undefined);
      assert.deepEqual(await store.listByUser("u"), []);
    },
  },
  {
    id: "rename/never-beyond-the-end",
    promise: 18,
    title: "a rename never moves a session beyond its absolute deadline, and a short one ends on time",
    async run({ store, outlive }) {
      const created = await store.create(session("a", { idleMs: hour, absoluteMs: 2 * hour }));
      assert.equal(created.status, "created");
      const renamed = await store.rename("a", "b", { idleMs: 9 * hour });
      assert.equal(renamed.status, "renamed");
      assert.equal(renamed.record.expiresAt, created.record.endsAt);
      assert.equal((await store.get("b"))?.endsAt, created.record.endsAt);
      assert.equal((await store.rename("b", "c", { userId: "u", idleMs: 50 })).status, "renamed");
      await outlive(50);
      assert.equal(await store.get("c"), undefined, "a renamed session outlived its deadline");
      assert.deepEqual(await store.listByUser("u"), []);
    },
  },
  {
    id: "rename/onto-a-live-id",
    promise: 18,
    title: "rename to an id in use answers duplicate, and both sessions stay as they are",
    async run({ store }) {
      await store.create(session("a", { userId: "u" }));
      await store.create(session("b", { userId: "v" }));
      const before = [await store.get("a"), await store.get("b")];
      assert.deepEqual(await store.rename("a", "b", { payload: "p", userId: "w" }), { status: "duplicate" });
      const after = [await store.get("a"), await store.get("b")];
      assert.deepEqual(
        after.map((record) => ({ ...record, now: 0 })),
        before.map((record) => ({ ...record, now: 0 })),
      );
      assert.deepEqual(idsOf(await store.listByUser("u")), ["a"]);
      assert.deepEqual(idsOf(await store.listByUser("v")), ["b"]);
      assert.deepEqual(await store.listByUser("w"), []);
    },
  },
  {
    id: "rename/onto-itself",
    promise: 18,
    title: "rename to the same id answers duplicate, and the session stays as it is",
    async run({ store }) {
      await store.create(session("a", { userId: "u" }));
      assert.deepEqual(await store.rename("a", "a", { payload: "p" }), { status: "duplicate" });
      assert.equal((await store.get("a"))?.payload, "payload of a");
      assert.deepEqual(idsOf(await store.listByUser("u")), ["a"]);
      assert.deepEqual(await store.rename("unknown", "unknown"), { status: "missing" });
    },
  },
  {
    id: "rename/conflict-shows-the-winner",
    promise: 18,
    title: "rename with an older version moves nothing and answers the record that won",
    async run({ store, open }) {
      const other = await open();
      await store.create(session("a", { userId: "u" }));
      await other.update("a", { payload: "winner" });
      const lost = await store.rename("a", "b", { payload: "loser" }, { expectedVersion: 1 });
      assert.equal(lost.status, "conflict");
      assert.equal(lost.current.id, "a");
      assert.equal(lost.current.payload, "winner");
      assert.equal(lost.current.version, 2);
      assert.equal(await store.get("b"), undefined);
      assert.equal((await store.get("a"))?.payload, "winner");
      assert.equal((await store.rename("a", "b", { payload: "p" }, { expectedVersion: 2 })).status, "renamed");
    },
  },
  {
    id: "race/one-rename-wins",
    promise: 18,
    title: "of two concurrent renames of one session one wins, the other answers that it lost, and one session is left",
    async run({ store, open, rounds }) {
      const other = await open();
      for (let round = 0; round < rounds; round++) {
        const userId = `u${round}`;
        await store.create(session(`a${round}`, { userId }));
        const results = await Promise.all([
          store.rename(`a${round}`, `b${round}`, { payload: "b" }),
          other.rename(`a${round}`, `c${round}`, { payload: "c" }),
        ]);
        assert.deepEqual(results.map(({ status }) => status).sort(), ["missing", "renamed"]);
        const [winner, loser] = results[0].status === "renamed" ? ["b", "c"] : ["c", "b"];
        assert.equal((await store.get(`${winner}${round}`))?.payload, winner);
        assert.equal(await store.get(`${loser}${round}`), undefined, "one session became two");
        assert.equal(await store.get(`a${round}`), undefined, "the old id lives on");
        assert.deepEqual(idsOf(await store.listByUser(userId)), [`${winner}${round}`]);
      }
    },
  },
  {
    id: "race/one-newcomer-wins",
    promise: 18,
    title: "of sessions renamed to one id, and one created there, exactly one gets the id, and no session is lost",
    async run({ store, open, rounds }) {
      const other = await open();
      for (let round = 0; round < rounds; round++) {
        const target = `target${round}`;
        const userId = `u${round}`;
        await store.create(session(`a${round}`, { userId, payload: "a" }));
        await store.create(session(`b${round}`, { userId, payload: "b" }));
        const [a, b, c] = await Promise.all([
          store.rename(`a${round}`, target),
          other.rename(`b${round}`, target),
          other.create(session(target, { userId, payload: "c" })),
        ]);
        const won = [a.status === "renamed", b.status === "renamed", c.status === "created"];
        assert.equal(won.filter(Boolean).length, 1, `${a.status}, ${b.status}, ${c.status}`);
        const read = await store.get(target);
        assert.equal(read?.payload, ["a", "b", "c"][won.indexOf(true)]);
        const rest = [`a${round}`, `b${round}`].filter((_, n) => !won[n]);
        assert.deepEqual(idsOf(await store.listByUser(userId)).sort(), [...rest, target].sort());
        for (const id of rest) assert.equal((await store.get(id))?.id, id, "a session that lost its race is gone");
      }
    },
  },
  {
    id: "race/always-readable-under-an-id",
    promise: 18,
    title: "during a rename, a read of the old id and then of the new id finds the session",
    async run({ store, open, rounds }) {
      const other = await open();
      for (let round = 0; round < rounds; round++) {
        const [from, to] = [`a${round}`, `b${round}`];
        await store.create(session(from, { userId: "u" }));
        let renaming = true;
        const rename = store.rename(from, to).finally(() => {
          renaming = false;
        });
        const reader = async (): Promise<void> => {
          do {
            const found = (await other.get(from)) ?? (await other.get(to));
            assert.ok(found !== undefined, "the session could be read under neither id");
            // A store in this process may answer without a turn in which the rename can continue.
            await turn();
          } while (renaming);
        };
        const [renamed] = await Promise.all([rename, reader(), reader()]);
        assert.equal(renamed.status, "renamed");
      }
    },
  },
  {
    id: "race/rename-against-writes",
    promise: 18,
    title: "a write at the same time as a rename is either in the renamed session or answered missing",
    async run({ store, open, rounds }) {
      const other = await open();
      for (let round = 0; round < rounds; round++) {
        const [from, to] = [`a${round}`, `b${round}`];
        await store.create(session(from));
        const [renamed, updated, touched] = await Promise.all([
          store.rename(from, to),
          other.update(from, { payload: "new" }),
          other.touch(from, { idleMs: 5 * hour }),
        ]);
        assert.equal(renamed.status, "renamed");
        assert.equal(await store.get(from), undefined, "a write brought the old id back");
        const read = await store.get(to);
        assert.ok(read !== undefined);
        const written = updated.status === "updated";
        assert.equal(read.payload, written ? "new" : `payload of ${from}`, `the update answered ${updated.status}`);
        assert.equal(read.version, written ? 2 : 1);
        const longer = read.expiresAt - read.createdAt >= 5 * hour;
        assert.equal(
          longer,
          touched,
          `touch answered ${touched} and the session ${longer ? "lives" : "does not live"} longer`,
        );
      }
    },
  },
  {
    id: "race/rename-against-destroy",
    promise: 18,
    title: "a session destroyed at the same time as it is renamed is gone, or was renamed first and lives",
    async run({ store, open, rounds }) {
      const other = await open();
      for (let round = 0; round < rounds; round++) {
        const [from, to, userId] = [`a${round}`, `b${round}`, `u${round}`];
        await store.create(session(from, { userId }));
        const [renamed, destroyed] = await inEitherOrder(
          round,
          () => store.rename(from, to),
          () => other.destroy(from),
        );
        const alive = renamed.status === "renamed";
        assert.equal(destroyed === undefined, alive, `rename answered ${renamed.status}, and destroy as well`);
        assert.equal(await store.get(from), undefined);
        assert.equal((await store.get(to)) !== undefined, alive, "the answer of rename is not what is stored");
        assert.deepEqual(idsOf(await store.listByUser(userId)), alive ? [to] : []);
      }
    },
  },
];
