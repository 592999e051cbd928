import assert from "node:assert/strict";
import { type ConformanceCase, idsOf, session } from "../case.js";
import { everyMethod } from "./every-method.js";

/** Promise 13: set-up is idempotent and safe at the same time. */
export const setupCases: readonly ConformanceCase[] = [
  {
    id: "setup/ten-at-once",
    promise: 13,
    title:
      "ten stores opened at the same time on one new namespace all work, and opening another one keeps the sessions",
    async run({ open, freshNamespace }) {
      const namespace = freshNamespace();
      const stores = await Promise.all(Array.from({ length: 10 }, () => open(namespace)));
      await Promise.all(stores.map((store, n) => store.create(session(`a${n}`, { userId: "u" }))));
      const again = await open(namespace);
      assert.equal((await again.listByUser("u")).length, 10, "opening a store again changed what is stored");
    },
  },
];

/** Promise 14: close. */
export const closeCases: readonly ConformanceCase[] = [
  {
    id: "close/then-closed",
    promise: 14,
    title: "close is idempotent, and every method rejects CLOSED afterwards",
    async run({ store, capabilities }) {
      await store.create(session("a", { userId: "u" }));
      await Promise.all([store.close(), store.close()]);
      await store.close();
      const closed = { name: "SessionError", code: "CLOSED" };
      for (const [name, call] of everyMethod(capabilities)) {
        await assert.rejects(() => call(store), closed, `${name} after close`);
      }
      await assert.rejects(() => store.sweep({ limit: 1 }), closed);
    },
  },
  {
    id: "close/right-after-opening",
    promise: 14,
    title: "a store that was never used can be closed",
    async run({ open }) {
      const store = await open();
      await store.close();
      await assert.rejects(() => store.get("a"), { name: "SessionError", code: "CLOSED" });
    },
  },
  {
    id: "close/leaves-others-open",
    promise: 14,
    title: "closing one store leaves the others on the same backend working, and the sessions stored",
    async run({ store, open, freshNamespace }) {
      const node = await open();
      const other = await open(freshNamespace());
      await store.create(session("a", { userId: "u" }));
      await store.close();
      assert.equal((await node.get("a"))?.id, "a");
      assert.equal((await node.update("a", { payload: "p" })).status, "updated");
      assert.equal((await other.create(session("a"))).status, "created");
      const late = await open();
      assert.deepEqual(idsOf(await late.listByUser("u")), ["a"]);
    },
  },
];
