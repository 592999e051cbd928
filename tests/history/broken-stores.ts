import { setTimeout as delay } from "node:timers/promises";
import { SessionError, type SessionStore } from "@sojourn/core";
import { decorate, type SessionRecord } from "@sojourn/core/adapter";

/** A store with one fault, and the rule of the checker that has to find it. */
export interface BrokenStore {
  readonly breaks: string;
  readonly caughtBy: string;
  /** A store over a correct one. All clients share it, as they share a backend. */
  wrap(store: SessionStore): SessionStore;
}

export const brokenStores: readonly BrokenStore[] = [
  {
    breaks: "update creates a session that was destroyed meanwhile",
    caughtBy: "resurrection",
    wrap: (store) => {
      const kept = new Map<string, SessionRecord>();
      return decorate(store, {
        async destroy(id) {
          const record = await store.get(id);
          if (record) kept.set(id, record);
          return store.destroy(id);
        },
        async update(id, change, options) {
          const result = await store.update(id, change, options);
          const record = kept.get(id);
          if (result.status !== "missing" || record === undefined) return result;
          await revive(store, record);
          return store.update(id, change);
        },
      });
    },
  },
  {
    breaks: "touch creates a session that was destroyed meanwhile",
    caughtBy: "resurrection",
    wrap: (store) => {
      const kept = new Map<string, SessionRecord>();
      return decorate(store, {
        async destroy(id) {
          const record = await store.get(id);
          if (record) kept.set(id, record);
          return store.destroy(id);
        },
        async touch(id, options) {
          const record = kept.get(id);
          if (record !== undefined) await revive(store, record);
          return store.touch(id, options);
        },
      });
    },
  },
  {
    breaks: "update ignores the version that is expected",
    caughtBy: "lost-update",
    wrap: (store) =>
      decorate(store, { update: (id, change, options) => store.update(id, change, { limit: options?.limit }) }),
  },
  {
    breaks: "two updates at once both read one version and write the next",
    caughtBy: "version-repeats",
    wrap: (store) =>
      decorate(store, {
        async update(id, change, options) {
          const before = await store.get(id);
          await delay(2);
          const result = await store.update(id, change, options);
          if (result.status !== "updated" || before === undefined || before.endsAt !== result.record.endsAt)
            return result;
          return { ...result, record: { ...result.record, version: before.version + 1 } };
        },
      }),
  },
  {
    breaks: "destroy answers before it is done",
    caughtBy: "resurrection",
    wrap: (store) =>
      decorate(store, {
        async destroy(id) {
          const record = await store.get(id);
          void delay(40).then(() => store.destroy(id));
          return record && { id, userId: record.userId };
        },
      }),
  },
  {
    breaks: "the list misses the user's newest session",
    caughtBy: "list-misses",
    wrap: (store) =>
      decorate(store, {
        async listByUser(...args) {
          const records = await store.listByUser(...args);
          return records.length > 2 ? records.slice(0, -1) : records;
        },
      }),
  },
  {
    breaks: "the list shows a session that was destroyed",
    caughtBy: "resurrection",
    wrap: (store) => {
      const lists = new Map<string, SessionRecord[]>();
      return decorate(store, {
        async listByUser(userId) {
          const stale = lists.get(userId);
          const records = await store.listByUser(userId);
          lists.set(userId, records);
          const [gone] = stale?.filter(({ id }) => !records.some((record) => record.id === id)) ?? [];
          return gone === undefined ? records : [...records, gone].sort((a, b) => a.createdAt - b.createdAt);
        },
      });
    },
  },
  {
    breaks: "destroyByUser misses the session that was created last",
    caughtBy: "survived-log-out",
    wrap: (store) =>
      decorate(store, {
        async destroyByUser(userId, options) {
          const records = await store.listByUser(userId);
          const newest = records.at(-1)?.id;
          return store.destroyByUser(userId, { except: options?.except ?? newest });
        },
      }),
  },
  {
    breaks: "destroyByUser works on a list that it read earlier, and misses what a rename moved",
    caughtBy: "survived-log-out",
    wrap: (store) =>
      decorate(store, {
        async destroyByUser(userId, options) {
          const records = await store.listByUser(userId);
          await delay(10);
          const ended: string[] = [];
          for (const { id } of records) {
            if (id !== options?.except && (await store.destroy(id)) !== undefined) ended.push(id);
          }
          return ended;
        },
      }),
  },
  {
    breaks: "the index has lost every fifth session",
    caughtBy: "list-misses",
    wrap: (store) =>
      decorate(store, {
        async listByUser(...args) {
          const records = await store.listByUser(...args);
          return records.filter(({ createdAt }) => createdAt % 5 !== 0);
        },
      }),
  },
  {
    breaks: "rename leaves the old id alive",
    caughtBy: "old-id-alive",
    wrap: (store) =>
      decorate(store, {
        async rename(id, newId, change, options) {
          const before = await store.get(id);
          const result = await store.rename(id, newId, change, options);
          if (result.status === "renamed" && before !== undefined) await revive(store, before);
          return result;
        },
      }),
  },
  {
    breaks: "a rename that answers missing has moved the session",
    caughtBy: "refused-took-effect",
    wrap: (store) => {
      let calls = 0;
      return decorate(store, {
        async rename(...args) {
          calls += 1;
          const result = await store.rename(...args);
          return calls % 10 === 0 ? { status: "missing" } : result;
        },
      });
    },
  },
  {
    breaks: "the limit lets one session too many in",
    caughtBy: "over-limit",
    wrap: (store) => shiftLimit(store, 1),
  },
  {
    breaks: "the limit is one too low",
    caughtBy: "limit-too-strict",
    wrap: (store) => shiftLimit(store, -1),
  },
  {
    breaks: "the limit evicts the newest session",
    caughtBy: "evicted-newer",
    wrap: (store) =>
      decorate(store, {
        async create(session, options) {
          const { userId } = session;
          const limit = options?.limit;
          if (userId === undefined || limit?.whenReached !== "evictOldest") return store.create(session, options);
          const records = await store.listByUser(userId);
          const newest = records.length >= limit.max ? records.at(-1) : undefined;
          if (newest === undefined || newest.id === session.id) return store.create(session, options);
          await store.destroy(newest.id);
          const result = await store.create(session, options);
          return result.status === "created" ? { ...result, evicted: [newest.id, ...result.evicted] } : result;
        },
      }),
  },
  {
    breaks: "a write that was answered UNAVAILABLE, with nothing sent, is sent later",
    caughtBy: "refused-took-effect",
    wrap: (store) => {
      let calls = 0;
      return decorate(store, {
        async update(...args) {
          calls += 1;
          if (calls % 40 !== 0) return store.update(...args);
          void delay(20).then(() => store.update(...args));
          throw new SessionError("UNAVAILABLE", "the server cannot be reached", { outcomeUnknown: false });
        },
      });
    },
  },
  {
    breaks: "a write is sent again after its answer was lost",
    caughtBy: "applied-twice",
    wrap: (store) => {
      let calls = 0;
      return decorate(store, {
        async update(...args) {
          calls += 1;
          const result = await store.update(...args);
          if (calls % 20 !== 0) return result;
          await delay(10);
          return store.update(...args);
        },
      });
    },
  },
  {
    breaks: "an expired session can be read",
    caughtBy: "expired-alive",
    wrap: (store) => {
      const known = new Map<string, SessionRecord>();
      return decorate(store, {
        async get(id) {
          const record = await store.get(id);
          const before = known.get(id);
          if (record !== undefined) known.set(id, record);
          if (record !== undefined || before === undefined) return record;
          return before.expiresAt < Date.now() ? { ...before, now: Date.now() } : undefined;
        },
      });
    },
  },
  {
    breaks: "a session expires at half its lifetime",
    caughtBy: "lost-session",
    wrap: (store) =>
      decorate(store, {
        async get(id) {
          const record = await store.get(id);
          if (record === undefined) return undefined;
          return record.now - record.lastActiveAt > (record.expiresAt - record.lastActiveAt) / 2 ? undefined : record;
        },
      }),
  },
  {
    breaks: "touch answers true and moves no deadline",
    caughtBy: "touch-lost",
    wrap: (store) => decorate(store, { touch: async (id) => (await store.get(id)) !== undefined }),
  },
  {
    breaks: "the version jumps at a change of user",
    caughtBy: "version-jumps",
    wrap: (store) =>
      decorate(store, {
        async update(id, change, options) {
          if (change.userId === undefined) return store.update(id, change, options);
          const result = await store.update(id, change, options);
          if (result.status !== "updated") return result;
          const again = await store.update(id, { payload: result.record.payload });
          return again.status === "updated" ? { ...again, evicted: result.evicted } : again;
        },
      }),
  },
  {
    breaks: "get answers from a copy for a moment",
    caughtBy: "stale",
    wrap: (store) => {
      const copies = new Map<string, { record: SessionRecord | undefined; until: number }>();
      return decorate(store, {
        async get(id) {
          const copy = copies.get(id);
          if (copy !== undefined && performance.now() < copy.until) return copy.record;
          const record = await store.get(id);
          copies.set(id, { record, until: performance.now() + 30 });
          return record;
        },
      });
    },
  },
];

/** Stores a record again as it was, with the lifetime by which the checker knows it. */
async function revive(store: SessionStore, record: SessionRecord): Promise<void> {
  await store.create({
    id: record.id,
    userId: record.userId,
    payload: record.payload,
    idleMs: record.expiresAt - record.lastActiveAt,
    absoluteMs: record.endsAt - record.createdAt,
  });
}

function shiftLimit(store: SessionStore, by: number): SessionStore {
  const shifted = <Options extends { limit?: { max: number } | undefined }>(options: Options | undefined) =>
    options?.limit === undefined ? options : { ...options, limit: { ...options.limit, max: options.limit.max + by } };
  return decorate(store, {
    create: (session, options) => store.create(session, shifted(options)),
    update: (id, change, options) => store.update(id, change, shifted(options)),
    rename: (id, newId, change, options) => store.rename(id, newId, change, shifted(options)),
  });
}
