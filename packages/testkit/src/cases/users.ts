import assert from "node:assert/strict";
import {
  type CaseContext,
  type ConformanceCase,
  hour,
  idsOf,
  inParallel,
  openContenders,
  session,
  sweepAll,
} from "../case.js";

/** Promise 6: `listByUser` shows exactly the live sessions. */
export const indexCases: readonly ConformanceCase[] = [
  {
    id: "list/exactly-the-users-sessions",
    promise: 6,
    title: "the list holds each session of the user as get reads it, oldest first, and no other",
    async run({ store, open, pass }) {
      const other = await open();
      for (const id of ["c", "a", "b"]) {
        await other.create(session(id, { userId: "u" }));
        await pass(5);
      }
      await store.create(session("theirs", { userId: "v" }));
      await store.create(session("anonymous"));
      const listed = await store.listByUser("u");
      assert.deepEqual(idsOf(listed), ["c", "a", "b"]);
      for (const record of listed) {
        const read = await store.get(record.id);
        assert.deepEqual({ ...record, now: 0 }, { ...read, now: 0 });
      }
      assert.deepEqual(await store.listByUser("nobody"), []);
    },
  },
  {
    id: "list/membership-ends-with-the-session",
    promise: 6,
    title: "a session that was destroyed is in no list",
    async run({ store }) {
      await store.create(session("a", { userId: "u" }));
      await store.create(session("b", { userId: "u" }));
      await store.destroy("a");
      assert.deepEqual(idsOf(await store.listByUser("u")), ["b"]);
      await store.destroy("b");
      assert.deepEqual(await store.listByUser("u"), []);
    },
  },
  {
    id: "list/anonymous-to-a-to-b-to-anonymous",
    promise: 6,
    title: "membership moves with the user: anonymous, A, B, anonymous",
    async run({ store }) {
      await store.create(session("a"));
      const moves = [
        { userId: "A", lists: [["a"], []] },
        { userId: "B", lists: [[], ["a"]] },
        { userId: null, lists: [[], []] },
      ];
      for (const { userId, lists } of moves) {
        const updated = await store.update("a", { userId });
        assert.equal(updated.status, "updated");
        assert.equal(updated.record.userId, userId ?? undefined);
        assert.equal((await store.get("a"))?.userId, userId ?? undefined);
        const found = [await store.listByUser("A"), await store.listByUser("B")];
        assert.deepEqual(found.map(idsOf), lists, `the lists of A and B after the user became ${userId}`);
      }
      assert.deepEqual(await store.destroyByUser("A"), []);
      assert.deepEqual(await store.destroyByUser("B"), []);
      assert.equal((await store.get("a"))?.id, "a");
    },
  },
  {
    id: "list/rename-moves-membership",
    promise: 6,
    title: "a renamed session is listed once, under its new id, in its place",
    async run({ store, pass }) {
      await store.create(session("a", { userId: "u" }));
      await pass(5);
      await store.create(session("b", { userId: "u" }));
      await store.rename("a", "z");
      assert.deepEqual(idsOf(await store.listByUser("u")), ["z", "b"]);
      await store.rename("z", "y", { userId: "v" });
      assert.deepEqual(idsOf(await store.listByUser("u")), ["b"]);
      assert.deepEqual(idsOf(await store.listByUser("v")), ["y"]);
    },
  },
  {
    id: "list/no-leak-after-many-expiries",
    promise: 6,
    title: "expired sessions leave at most one entry per user in the backend",
    needs: needsFootprint,
    async run({ store, harness, namespace, scaled, outlive }) {
      const before = (await harness.footprint?.(namespace)) ?? 0;
      await inParallel(scaled(10_000), (n) => store.create(session(`a${n}`, { userId: `u${n % 3}`, idleMs: 100 })));
      await outlive(100);
      await sweepAll(store);
      for (let user = 0; user < 3; user++) assert.deepEqual(await store.listByUser(`u${user}`), []);
      const after = (await harness.footprint?.(namespace)) ?? 0;
      assert.ok(after <= before + 3, `${after - before} entries stayed behind`);
    },
  },
  {
    id: "list/no-leak-beside-a-living-session",
    promise: 6,
    title: "a user who always has a session collects no entries of expired sessions",
    needs: needsFootprint,
    async run({ store, harness, namespace, scaled, outlive }) {
      await store.create(session("living", { userId: "u" }));
      const before = (await harness.footprint?.(namespace)) ?? 0;
      await inParallel(scaled(10_000), (n) => store.create(session(`a${n}`, { userId: "u", idleMs: 100 })));
      await outlive(100);
      await sweepAll(store);
      assert.deepEqual(idsOf(await store.listByUser("u")), ["living"]);
      await store.create(session("last", { userId: "u" }));
      await store.destroy("last");
      const after = (await harness.footprint?.(namespace)) ?? 0;
      assert.ok(after <= before, `${after - before} entries stayed behind`);
    },
  },
  {
    id: "list/no-leak-after-ends-and-moves",
    promise: 6,
    title: "sessions that were destroyed, renamed or given to another user leave no entries",
    needs: needsFootprint,
    async run({ store, harness, namespace }) {
      await store.create(session("living", { userId: "u" }));
      const before = (await harness.footprint?.(namespace)) ?? 0;
      await inParallel(20, async (n) => {
        await store.create(session(`a${n}`, { userId: "u" }));
        await store.update(`a${n}`, { userId: "v" });
        await store.update(`a${n}`, { userId: "u", payload: "p" });
        await store.rename(`a${n}`, `b${n}`, { userId: null });
        await store.destroy(`b${n}`);
      });
      assert.deepEqual(idsOf(await store.listByUser("u")), ["living"]);
      assert.deepEqual(await store.listByUser("v"), []);
      const after = (await harness.footprint?.(namespace)) ?? 0;
      assert.ok(after <= before + 1, `${after - before} entries stayed behind`);
    },
  },
  {
    id: "race/one-new-user-wins",
    promise: 6,
    title: "a session given to several users at the same time is in the list of exactly one",
    async run({ store, open, rounds }) {
      const stores = await openContenders({ store, open }, 3);
      const users = ["u", "v", "w"];
      for (let round = 0; round < rounds; round++) {
        const id = `a${round}`;
        await store.create(session(id));
        await Promise.all(users.map((userId, n) => (stores[n] ?? store).update(id, { userId })));
        const read = await store.get(id);
        const lists = await Promise.all(users.map((userId) => store.listByUser(userId)));
        const holders = users.filter((_, n) => lists[n]?.some((record) => record.id === id));
        assert.deepEqual(holders, [read?.userId], "lists and record name different users");
      }
    },
  },
  {
    id: "count/sessions-and-users",
    promise: 6,
    title: "count tells live sessions, those with a user, and users",
    needs: (_, { count }) => (count ? undefined : "this store cannot count"),
    async run({ store }) {
      assert.deepEqual(await store.count(), { sessions: 0, sessionsWithUser: 0, users: 0 });
      for (const [id, userId] of [
        ["a", "u"],
        ["b", "u"],
        ["c", "v"],
        ["d", undefined],
      ] as const) {
        await store.create(session(id, { userId }));
      }
      assert.deepEqual(await store.count(), { sessions: 4, sessionsWithUser: 3, users: 2 });
      await store.destroy("c");
      await store.update("a", { userId: null });
      assert.deepEqual(await store.count(), { sessions: 3, sessionsWithUser: 1, users: 1 });
    },
  },
  {
    id: "scan/sees-everything-alive",
    promise: 6,
    title: "scan sees every session that lives throughout, in batches of any size, while others come and go",
    needs: (_, { scan }) => (scan ? undefined : "this store cannot scan"),
    async run({ store, open }) {
      const other = await open();
      const living = Array.from({ length: 40 }, (_, n) => `living ${n}`);
      for (const batchSize of [1, 7, 1_000]) {
        await inParallel(40, async (n) => {
          await store.create(session(`going ${n}`, { userId: "u" }));
          await store.create(session(`living ${n}`, { userId: n % 2 === 0 ? "u" : undefined }));
        });
        const seen = new Map<string, string>();
        for await (const { id, payload } of store.scan({ batchSize })) {
          seen.set(id, payload);
          if (!id.startsWith("going")) continue;
          await other.destroy(id);
          await other.create(session(`coming for ${batchSize} ${id}`, { userId: "u" }));
        }
        const missed = living.filter((id) => seen.get(id) !== `payload of ${id}`);
        assert.deepEqual(missed, [], `scan in batches of ${batchSize} missed living sessions`);
      }
    },
  },
  {
    id: "scan/can-be-left-early",
    promise: 6,
    title: "a scan that is left early can be started anew, and the store goes on",
    needs: (_, { scan }) => (scan ? undefined : "this store cannot scan"),
    async run({ store }) {
      await inParallel(10, (n) => store.create(session(`a${n}`)));
      for await (const record of store.scan({ batchSize: 2 })) {
        assert.ok(record.id.startsWith("a"));
        break;
      }
      const seen = new Set<string>();
      for await (const { id } of store.scan({ batchSize: 2 })) seen.add(id);
      assert.equal(seen.size, 10);
    },
  },
  ...(["scan", "count"] as const).map(
    (operation): ConformanceCase => ({
      id: `${operation}/says-that-it-cannot`,
      promise: 6,
      title: `a store without ${operation} rejects NOT_SUPPORTED`,
      needs: (_, capabilities) => (capabilities[operation] ? `this store can ${operation}` : undefined),
      async run({ store }) {
        const call = async (): Promise<void> => {
          if (operation === "count") await store.count();
          else for await (const _ of store.scan());
        };
        await assert.rejects(call, { name: "SessionError", code: "NOT_SUPPORTED" });
      },
    }),
  ),
];

/** Promise 7: log out everywhere. */
export const destroyByUserCases: readonly ConformanceCase[] = [
  {
    id: "destroy-by-user/ends-all-of-one-user",
    promise: 7,
    title: "destroyByUser ends each session of the user, answers their ids, and no other user's",
    async run({ store, open }) {
      const other = await open();
      for (const id of ["a", "b", "c"]) await other.create(session(id, { userId: "u" }));
      await store.create(session("theirs", { userId: "v" }));
      await store.create(session("anonymous"));
      assert.deepEqual((await store.destroyByUser("u")).sort(), ["a", "b", "c"]);
      for (const id of ["a", "b", "c"]) assert.equal(await other.get(id), undefined);
      assert.deepEqual(await other.listByUser("u"), []);
      assert.equal((await store.get("theirs"))?.id, "theirs");
      assert.equal((await store.get("anonymous"))?.id, "anonymous");
      assert.deepEqual(await store.destroyByUser("u"), []);
      assert.deepEqual(await store.destroyByUser("nobody"), []);
    },
  },
  {
    id: "destroy-by-user/except-one",
    promise: 7,
    title: "destroyByUser keeps the session named by except, and an except of another user protects no session",
    async run({ store }) {
      for (const id of ["a", "b", "c"]) await store.create(session(id, { userId: "u" }));
      await store.create(session("theirs", { userId: "v" }));
      assert.deepEqual((await store.destroyByUser("u", { except: "b" })).sort(), ["a", "c"]);
      assert.deepEqual(idsOf(await store.listByUser("u")), ["b"]);
      assert.equal((await store.get("b"))?.id, "b");
      assert.deepEqual(await store.destroyByUser("u", { except: "theirs" }), ["b"]);
      assert.equal((await store.get("theirs"))?.id, "theirs");
    },
  },
  {
    id: "destroy-by-user/follows-the-user",
    promise: 7,
    title: "destroyByUser ends sessions given to the user, and spares sessions given away",
    async run({ store }) {
      await store.create(session("became"));
      await store.create(session("left", { userId: "u" }));
      await store.create(session("renamed", { userId: "u" }));
      await store.update("became", { userId: "u" });
      await store.update("left", { userId: "v" });
      await store.rename("renamed", "fresh");
      assert.deepEqual((await store.destroyByUser("u")).sort(), ["became", "fresh"]);
      assert.equal((await store.get("left"))?.id, "left");
      assert.equal(await store.get("fresh"), undefined);
    },
  },
  {
    id: "race/create-against-destroy-by-user",
    promise: 7,
    title: "sessions created during destroyByUser are ended or listed, and those before it are ended",
    async run({ store, open, rounds }) {
      const other = await open();
      for (let round = 0; round < rounds; round++) {
        const userId = `u${round}`;
        const before = [0, 1].map((n) => `before ${round} ${n}`);
        const during = [0, 1, 2].map((n) => `during ${round} ${n}`);
        for (const id of before) await store.create(session(id, { userId }));
        await Promise.all([
          store.destroyByUser(userId),
          ...during.map((id, n) => (n === 0 ? store : other).create(session(id, { userId }))),
        ]);
        await assertListedIsAlive(store, userId, [...before, ...during]);
        for (const id of before) assert.equal(await store.get(id), undefined, "a session survived destroyByUser");
      }
    },
  },
  {
    id: "race/rename-against-destroy-by-user",
    promise: 7,
    title: "a session that is renamed during destroyByUser is ended under either id",
    async run({ store, open, rounds }) {
      const other = await open();
      for (let round = 0; round < rounds; round++) {
        const userId = `u${round}`;
        const ids = [0, 1, 2].map((n) => `a ${round} ${n}`);
        const fresh = [0, 1, 2].map((n) => `b ${round} ${n}`);
        for (const id of ids) await store.create(session(id, { userId }));
        await Promise.all([
          other.destroyByUser(userId),
          ...ids.map((id, n) => (n === 0 ? other : store).rename(id, fresh[n] ?? "", { payload: "p" })),
        ]);
        for (const id of [...ids, ...fresh]) {
          assert.equal(await store.get(id), undefined, "a renamed session survived destroyByUser");
        }
        assert.deepEqual(await store.listByUser(userId), []);
      }
    },
  },
  {
    id: "race/writes-against-destroy-by-user",
    promise: 7,
    title: "updates and touches during destroyByUser revive no session",
    async run({ store, open, rounds }) {
      const other = await open();
      for (let round = 0; round < rounds; round++) {
        const userId = `u${round}`;
        const ids = [0, 1, 2].map((n) => `a ${round} ${n}`);
        for (const id of ids) await store.create(session(id, { userId }));
        await Promise.all([
          ...ids.map((id) => other.update(id, { payload: "p", idleMs: 2 * hour })),
          store.destroyByUser(userId),
          ...ids.map((id) => other.touch(id, { idleMs: 3 * hour })),
          ...ids.map((id) => store.update(id, { userId }, { expectedVersion: 1 })),
        ]);
        for (const id of ids) assert.equal(await store.get(id), undefined, "a write brought a session back");
        assert.deepEqual(await store.listByUser(userId), []);
      }
    },
  },
  {
    id: "race/login-against-destroy-by-user",
    promise: 7,
    title: "an anonymous session that logs in during destroyByUser is ended, or lives and is listed",
    async run({ store, open, rounds }) {
      const other = await open();
      for (let round = 0; round < rounds; round++) {
        const userId = `u${round}`;
        const ids = [`old ${round}`, `login ${round}`, `anonymous ${round}`];
        await store.create(session(`old ${round}`, { userId }));
        await store.create(session(`anonymous ${round}`));
        await Promise.all([
          store.destroyByUser(userId),
          other.rename(`anonymous ${round}`, `login ${round}`, { userId, payload: "logged in" }),
        ]);
        await assertListedIsAlive(store, userId, ids);
        assert.equal(await store.get(`old ${round}`), undefined, "a session survived destroyByUser");
        assert.equal(await store.get(`anonymous ${round}`), undefined, "the id before the login lives on");
      }
    },
  },
];

/**
 * Asserts that each of `ids` listed for the user is alive as the user's session, and that no live session of the user
 * is unlisted.
 */
async function assertListedIsAlive(store: CaseContext["store"], userId: string, ids: string[]): Promise<void> {
  const listed = new Set(idsOf(await store.listByUser(userId)));
  for (const id of ids) {
    const read = await store.get(id);
    const alive = read?.userId === userId;
    assert.equal(listed.has(id), alive, alive ? `${id} is alive and unlisted` : `${id} is listed and not alive`);
  }
}

function needsFootprint({ footprint }: CaseContext["harness"]): string | undefined {
  return footprint === undefined ? "the harness has no footprint" : undefined;
}
