import assert from "node:assert/strict";
import type { SessionStore } from "@sojourn/core";
import type { StoreCallOptions, StoreCapabilities } from "@sojourn/core/adapter";
import { type ConformanceCase, hour, session } from "../case.js";

/** The bounds of single calls. */
export const callOptionCases: readonly ConformanceCase[] = [
  {
    id: "calls/aborted-before",
    title: "a call whose signal has fired already rejects ABORTED, and does nothing",
    async run({ store, capabilities }) {
      await store.create(session("a", { userId: "u" }));
      const before = await store.get("a");
      const reason = new Error("the visitor left");
      const call = { signal: AbortSignal.abort(reason) };
      for (const [name, run] of everyMethod(capabilities)) {
        const refused = { name: "SessionError", code: "ABORTED", outcomeUnknown: false, cause: reason };
        await assert.rejects(() => run(store, call), refused, name);
      }
      assert.deepEqual({ ...(await store.get("a")), now: 0 }, { ...before, now: 0 });
      assert.equal(await store.get("b"), undefined);
    },
  },
  {
    id: "calls/bad-bounds-are-refused",
    title: "a timeout that is no positive integer is refused, and nothing is done",
    async run({ store, capabilities }) {
      await store.create(session("a", { userId: "u" }));
      for (const timeoutMs of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        for (const [name, run] of everyMethod(capabilities)) {
          const refused = { name: "SessionError", code: "INVALID_ARGUMENT" };
          await assert.rejects(() => run(store, { timeoutMs }), refused, `${name} with timeoutMs ${timeoutMs}`);
        }
      }
      assert.equal((await store.get("a"))?.version, 1);
    },
  },
  {
    id: "calls/bounds-change-no-answer",
    title: "calls with a signal and time enough answer as calls without, and leave no listener on the signal",
    async run({ store }) {
      const controller = new AbortController();
      const call = { signal: controller.signal, timeoutMs: 60_000, deadline: performance.now() + 60_000 };
      assert.equal((await store.create(session("a", { userId: "u" }), {}, call)).status, "created");
      assert.equal((await store.get("a", { fresh: true }, call))?.id, "a");
      assert.equal((await store.update("a", { payload: "p" }, { expectedVersion: 1 }, call)).status, "updated");
      assert.equal(await store.touch("a", { idleMs: 2 * hour }, call), true);
      assert.equal((await store.rename("a", "b", {}, {}, call)).status, "renamed");
      assert.deepEqual(
        (await store.listByUser("u", {}, call)).map(({ id }) => id),
        ["b"],
      );
      assert.deepEqual(await store.destroyByUser("u", {}, call), ["b"]);
      assert.equal(await store.destroy("b", call), undefined);
      controller.abort();
      assert.equal((await store.create(session("c"))).status, "created", "an old signal ends a later call");
    },
  },
  {
    id: "peek/agrees-with-get",
    title: "peek, where there is one, answers a live session as get does, and never one that has ended",
    async run({ store, pass }) {
      assert.equal(store.peek?.("a"), undefined);
      await store.create(session("a", { userId: "u", idleMs: 1_000 }));
      await store.get("a");
      const peeked = store.peek?.("a");
      if (peeked !== undefined) assert.deepEqual({ ...peeked, now: 0 }, { ...(await store.get("a")), now: 0 });
      await store.update("a", { payload: "newer" });
      const newer = store.peek?.("a");
      if (newer !== undefined) assert.equal(newer.payload, "newer");
      await store.create(session("b"));
      await store.get("b");
      await store.destroy("b");
      assert.equal(store.peek?.("b"), undefined, "peek answers a destroyed session");
      if (store.peek !== undefined) await pass(2_000);
      assert.equal(store.peek?.("a"), undefined, "peek answers an expired session");
    },
  },
];

type Method = (store: SessionStore, call: StoreCallOptions) => Promise<unknown>;

function everyMethod({ scan, count }: StoreCapabilities): [string, Method][] {
  return [
    ["create", (store, call) => store.create(session("b"), {}, call)],
    ["get", (store, call) => store.get("a", {}, call)],
    ["update", (store, call) => store.update("a", { payload: "p" }, {}, call)],
    ["touch", (store, call) => store.touch("a", { idleMs: 9 * hour }, call)],
    ["rename", (store, call) => store.rename("a", "b", {}, {}, call)],
    ["destroy", (store, call) => store.destroy("a", call)],
    ["listByUser", (store, call) => store.listByUser("u", {}, call)],
    ["destroyByUser", (store, call) => store.destroyByUser("u", {}, call)],
    ["sweep", (store, call) => store.sweep({ limit: 1 }, call)],
    ["clear", (store, call) => store.clear(call)],
    ...(count ? ([["count", (store, call) => store.count(call)]] as [string, Method][]) : []),
    ...(scan ? ([["scan", walk]] as [string, Method][]) : []),
  ];
}

async function walk(store: SessionStore, call: StoreCallOptions): Promise<void> {
  for await (const _ of store.scan({}, call));
}
