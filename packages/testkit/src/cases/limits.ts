import assert from "node:assert/strict";
import type { SessionLimit, SessionStore } from "@sojourn/core";
import { type ConformanceCase, idsOf, session } from "../case.js";

const reject = (max: number): { limit: SessionLimit } => ({ limit: { max, whenReached: "reject" } });
const evictOldest = (max: number): { limit: SessionLimit } => ({ limit: { max, whenReached: "evictOldest" } });

/** The three ways in which a user gains a session. `id` is the id of the session afterwards. */
const gains: readonly {
  name: string;
  arrange(store: SessionStore, id: string): Promise<unknown>;
  gain(store: SessionStore, id: string, options: { limit?: SessionLimit }): Promise<Gain>;
}[] = [
  {
    name: "create",
    arrange: async () => undefined,
    gain: async (store, id, options) => store.create(session(id, { userId: "u" }), options),
  },
  {
    name: "update",
    arrange: (store, id) => store.create(session(id, { payload: "anonymous" })),
    gain: async (store, id, options) => store.update(id, { userId: "u", payload: `payload of ${id}` }, options),
  },
  {
    name: "rename",
    arrange: (store, id) => store.create(session(`before ${id}`, { userId: "v", payload: "as v" })),
    gain: async (store, id, options) =>
      store.rename(`before ${id}`, id, { userId: "u", payload: `payload of ${id}` }, options),
  },
];

interface Gain {
  readonly status: string;
  readonly evicted?: readonly string[];
}

/** Promise 15: the session limit is part of every step by which a user gains a session. */
export const limitCases: readonly ConformanceCase[] = [
  ...gains.flatMap(({ name, arrange, gain }): ConformanceCase[] => [
    {
      id: `limit/${name}-rejects`,
      promise: 15,
      title: `${name} beyond a limit that rejects answers limitReached and changes nothing`,
      async run({ store }) {
        for (const id of ["a", "b"]) await store.create(session(id, { userId: "u" }));
        await arrange(store, "c");
        const before = [await store.get("c"), await store.get("before c")];
        assert.deepEqual(await gain(store, "c", reject(2)), { status: "limitReached" });
        const after = [await store.get("c"), await store.get("before c")];
        const unread = (record: object | undefined): object | undefined => record && { ...record, now: 0 };
        assert.deepEqual(after.map(unread), before.map(unread));
        assert.deepEqual(idsOf(await store.listByUser("u")), ["a", "b"]);
        assert.deepEqual((await gain(store, "c", reject(3))).evicted, []);
        assert.equal((await store.listByUser("u")).length, 3);
      },
    },
    {
      id: `limit/${name}-evicts-the-oldest`,
      promise: 15,
      title: `${name} beyond a limit that evicts ends the oldest others and names them`,
      async run({ store, pass }) {
        // The session gained is the oldest of all, and must stay nevertheless.
        await arrange(store, "c");
        for (const id of ["z", "y", "x", "w"]) {
          await pass(5);
          await store.create(session(id, { userId: "u" }));
        }
        const gained = await gain(store, "c", evictOldest(3));
        assert.deepEqual(gained.evicted, ["z", "y"]);
        assert.deepEqual(idsOf(await store.listByUser("u")).sort(), ["c", "w", "x"]);
        for (const id of ["z", "y"]) assert.equal(await store.get(id), undefined, "an evicted session lives on");
        assert.equal((await store.get("c"))?.payload, "payload of c");
      },
    },
    {
      id: `race/limit-${name}-rejects`,
      promise: 15,
      title: `50 ${name}s at the same time under a limit of 5 that rejects leave 5 sessions and 45 refusals`,
      async run({ store, open }) {
        const stores = [store, await open()];
        const ids = Array.from({ length: 50 }, (_, n) => `a${n}`);
        for (const id of ids) await arrange(store, id);
        const results = await Promise.all(ids.map((id, n) => gain(stores[n % 2] ?? store, id, reject(5))));
        const gained = ids.filter((_, n) => results[n]?.status !== "limitReached");
        assert.equal(gained.length, 5);
        assert.deepEqual(idsOf(await store.listByUser("u")).sort(), gained.sort());
      },
    },
    {
      id: `race/limit-${name}-evicts`,
      promise: 15,
      title: `50 ${name}s at the same time under a limit of 5 that evicts leave 5 sessions, and refuse none`,
      async run({ store, open }) {
        const stores = [store, await open()];
        const ids = Array.from({ length: 50 }, (_, n) => `a${n}`);
        for (const id of ids) await arrange(store, id);
        const results = await Promise.all(ids.map((id, n) => gain(stores[n % 2] ?? store, id, evictOldest(5))));
        for (const [n, { status, evicted }] of results.entries()) {
          assert.ok(status !== "limitReached" && status !== "missing", `a session was refused: ${status}`);
          assert.ok(!evicted?.includes(ids[n] ?? ""), "a session was evicted by its own creation");
        }
        const listed = idsOf(await store.listByUser("u"));
        assert.equal(listed.length, 5);
        for (const id of ids) {
          assert.equal((await store.get(id))?.userId === "u", listed.includes(id), `${id}: list and record disagree`);
        }
        const evicted = results.flatMap((result) => result.evicted ?? []);
        assert.deepEqual([...new Set(evicted)].sort(), ids.filter((id) => !listed.includes(id)).sort());
      },
    },
  ]),
  {
    id: "limit/only-whoever-gains",
    promise: 15,
    title: "the limit applies only to a write by which the user gains a session",
    async run({ store }) {
      for (const id of ["a", "b"]) await store.create(session(id, { userId: "u" }));
      const kept = await store.update("a", { payload: "p", userId: "u" }, reject(1));
      assert.equal(kept.status, "updated", "a write by the user who has the session was limited");
      const renamed = await store.rename("a", "c", { payload: "q" }, evictOldest(1));
      assert.equal(renamed.status, "renamed");
      assert.deepEqual(renamed.evicted, []);
      assert.equal((await store.update("c", { payload: "r" }, reject(1))).status, "updated");
      for (const id of ["anonymous 1", "anonymous 2"]) {
        assert.equal(
          (await store.create(session(id), reject(1))).status,
          "created",
          "an anonymous session was limited",
        );
      }
      assert.equal((await store.update("b", { userId: null }, reject(1))).status, "updated");
      assert.equal((await store.create(session("theirs", { userId: "v" }), evictOldest(1))).status, "created");
      assert.deepEqual(idsOf(await store.listByUser("u")), ["c"]);
    },
  },
  {
    id: "limit/frees-its-place",
    promise: 15,
    title: "a session that is destroyed, evicted or given away frees its place",
    async run({ store }) {
      await store.create(session("a", { userId: "u" }), reject(1));
      await store.destroy("a");
      assert.equal((await store.create(session("b", { userId: "u" }), reject(1))).status, "created");
      await store.update("b", { userId: null });
      assert.equal((await store.create(session("c", { userId: "u" }), reject(1))).status, "created");
      await store.destroyByUser("u");
      assert.equal((await store.create(session("d", { userId: "u" }), reject(1))).status, "created");
      assert.deepEqual(await store.create(session("e", { userId: "u" }), reject(1)), { status: "limitReached" });
    },
  },
  {
    id: "limit/duplicate-and-conflict-evict-nobody",
    promise: 15,
    title: "a create, update or rename that fails for another reason evicts no session",
    async run({ store }) {
      await store.create(session("a", { userId: "u" }));
      await store.create(session("b", { userId: "v" }));
      const limited = { ...evictOldest(1), expectedVersion: 7 };
      assert.deepEqual(await store.create(session("b", { userId: "u" }), evictOldest(1)), { status: "duplicate" });
      assert.equal((await store.update("b", { userId: "u" }, limited)).status, "conflict");
      assert.equal((await store.rename("b", "c", { userId: "u" }, limited)).status, "conflict");
      assert.deepEqual(await store.rename("b", "a", { userId: "u" }, evictOldest(1)), { status: "duplicate" });
      assert.deepEqual(await store.update("unknown", { userId: "u" }, evictOldest(1)), { status: "missing" });
      assert.deepEqual(idsOf(await store.listByUser("u")), ["a"]);
      assert.deepEqual(idsOf(await store.listByUser("v")), ["b"]);
    },
  },
  {
    id: "limit/refuses-what-is-no-limit",
    promise: 15,
    title: "a limit without a positive integer or a known policy is refused",
    async run({ store }) {
      await store.create(session("a"));
      const limits: unknown[] = [
        ...[0, -1, 1.5, Number.NaN, "5"].map((max) => ({ max, whenReached: "reject" })),
        { max: 1, whenReached: "maybe" },
        { max: 1 },
      ];
      for (const value of limits) {
        // Values that a JavaScript caller may pass.
        const limit = value as SessionLimit;
        const refused = { name: "SessionError", code: "INVALID_ARGUMENT" };
        await assert.rejects(() => store.create(session("b", { userId: "u" }), { limit }), refused);
        await assert.rejects(() => store.update("a", { userId: "u" }, { limit }), refused);
        await assert.rejects(() => store.rename("a", "b", { userId: "u" }, { limit }), refused);
      }
      assert.equal(await store.get("b"), undefined);
    },
  },
];
