import assert from "node:assert/strict";
import { isSessionError, type SessionStore } from "@sojourn/core";
import { type ConformanceCase, hour, session } from "../case.js";
import type { CountedOperation } from "../harness.js";

/** Cases about every call. */
export const callCases: readonly ConformanceCase[] = [
  {
    id: "calls/arguments-are-not-changed",
    title: "no method changes its arguments, which may be frozen",
    run: ({ store, capabilities }) =>
      assert.doesNotReject(async () => {
        const limit = Object.freeze({ max: 1, whenReached: "evictOldest" } as const);
        await store.create(Object.freeze(session("a", { userId: "u" })), Object.freeze({ limit }));
        await store.create(Object.freeze(session("b", { userId: "u" })), Object.freeze({ limit }));
        const options = Object.freeze({ limit, expectedVersion: 1 });
        await store.update("b", Object.freeze({ payload: "p", userId: "v", idleMs: hour }), options);
        await store.touch("b", Object.freeze({ idleMs: 2 * hour, shorten: true }));
        const again = Object.freeze({ limit, expectedVersion: 2 });
        const renamed = await store.rename("b", "c", Object.freeze({ userId: null, payload: "q" }), again);
        assert.equal(renamed.status, "renamed");
        await store.listByUser("u", Object.freeze({}));
        await store.destroyByUser("u", Object.freeze({ except: "a" }));
        await store.sweep(Object.freeze({ limit: 10 }));
        if (capabilities.scan) for await (const _ of store.scan(Object.freeze({ batchSize: 2 })));
      }),
  },
  {
    id: "calls/results-are-copies",
    title: "changing a returned value does not change the stored session",
    async run({ store }) {
      const created = await store.create(session("a", { userId: "u" }));
      assert.equal(created.status, "created");
      for (const answered of [created.record, await store.get("a"), ...(await store.listByUser("u"))]) {
        // A record may be frozen; only the result of the next read matters.
        Reflect.set(answered ?? {}, "payload", "changed by a caller");
        Reflect.set(answered ?? {}, "userId", "v");
      }
      const read = await store.get("a");
      assert.equal(read?.payload, "payload of a");
      assert.equal(read?.userId, "u");
    },
  },
  {
    id: "calls/bad-arguments-are-refused",
    title: "0, negative, fractional and NaN batch sizes, sweep limits and versions are refused, and nothing changes",
    async run({ store, capabilities }) {
      await store.create(session("a"));
      const before = await store.get("a");
      for (const value of [0, -1, 1.5, Number.NaN]) {
        const refuses = (what: string, call: () => Promise<unknown>): Promise<void> =>
          assert.rejects(call, (error) => {
            assert.ok(
              isSessionError(error, "INVALID_ARGUMENT"),
              `${what} ${value} is not refused but leads to ${error}`,
            );
            return true;
          });
        const versioned = { expectedVersion: value };
        await refuses("expectedVersion in update", () => store.update("a", { payload: "p" }, versioned));
        await refuses("expectedVersion in rename", () => store.rename("a", "b", {}, versioned));
        await refuses("limit in sweep", () => store.sweep({ limit: value }));
        if (!capabilities.scan) continue;
        await refuses("batchSize in scan", async () => {
          for await (const _ of store.scan({ batchSize: value }));
        });
      }
      assert.deepEqual({ ...(await store.get("a")), now: 0 }, { ...before, now: 0 });
    },
  },
  {
    id: "calls/round-trips",
    exclusive: true,
    title: "no operation waits on the network more often than promised",
    needs: ({ roundTrips }) => (roundTrips === undefined ? "the harness counts no round trips" : undefined),
    async run({ store, harness }) {
      const { roundTrips } = harness;
      assert.ok(roundTrips !== undefined);
      for (const [name, promised] of Object.entries(roundTrips.promised) as [CountedOperation, number][]) {
        const operation = await counted[name](store);
        const cost = await roundTrips.count(operation);
        assert.ok(cost <= promised, `${name} costs ${cost} round trips, ${promised} are promised`);
      }
    },
  },
];

/** Prepares each counted operation, having run it once before so that scripts and statements are known to the server. */
const counted: Readonly<Record<CountedOperation, (store: SessionStore) => Promise<() => Promise<unknown>>>> = {
  get: twice((store, id) => store.get(id)),
  create: twice((store, id) => store.create(session(`new ${id}`, { userId: id }))),
  createWithLimit: twice((store, id) =>
    store.create(session(`new ${id}`, { userId: id }), { limit: { max: 5, whenReached: "reject" } }),
  ),
  createEvicting: twice((store, id) =>
    store.create(session(`new ${id}`, { userId: id }), { limit: { max: 1, whenReached: "evictOldest" } }),
  ),
  update: twice((store, id) => store.update(id, { payload: "p", idleMs: hour }, { expectedVersion: 1 })),
  updateConflict: twice((store, id) => store.update(id, { payload: "p" }, { expectedVersion: 7 })),
  touch: twice((store, id) => store.touch(id, { idleMs: 2 * hour })),
  rename: twice((store, id) => store.rename(id, `new ${id}`, { payload: "p" })),
  destroy: twice((store, id) => store.destroy(id)),
  listByUser: twice((store, id) => store.listByUser(id)),
  destroyByUser: twice((store, id) => store.destroyByUser(id)),
};

let prepared = 0;

/** Runs each operation on its own session, of a user of the same name. */
function twice(
  operation: (store: SessionStore, id: string) => Promise<unknown>,
): (store: SessionStore) => Promise<() => Promise<unknown>> {
  return async (store) => {
    const ids = [`round trip ${prepared++}`, `round trip ${prepared++}`] as const;
    for (const id of ids) await store.create(session(id, { userId: id }));
    await operation(store, ids[0]);
    return () => operation(store, ids[1]);
  };
}
