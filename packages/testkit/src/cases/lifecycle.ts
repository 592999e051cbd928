import assert from "node:assert/strict";
import { type CaseContext, type ConformanceCase, day, hour, session } from "../case.js";

const createAnswersTheRecord: ConformanceCase = {
  id: "create/answers-the-record",
  promise: 1,
  title: "create answers the session as stored, and get reads the same",
  async run({ store }) {
    const created = await store.create(session("a", { userId: "u", payload: "p", idleMs: hour, absoluteMs: day }));
    assert.equal(created.status, "created");
    const { now, ...record } = created.record;
    assert.deepEqual(created.evicted, []);
    assert.deepEqual(record, {
      id: "a",
      userId: "u",
      payload: "p",
      version: 1,
      createdAt: record.createdAt,
      lastActiveAt: record.createdAt,
      expiresAt: record.createdAt + hour,
      endsAt: record.createdAt + day,
    });
    assert.ok(now >= record.createdAt, "the store's clock went backwards");
    const read = await store.get("a");
    assert.ok(read !== undefined, "a session that was created cannot be read");
    const { now: later, ...same } = read;
    assert.deepEqual(same, record);
    assert.ok(later >= now, "the store's clock went backwards");
  },
};

const createRefusesALiveId: ConformanceCase = {
  id: "create/duplicate-leaves-the-first",
  promise: 1,
  title: "create of a live id answers duplicate and leaves the session alone",
  async run({ store, open }) {
    const other = await open();
    await store.create(session("a", { userId: "u", payload: "first" }));
    const second = await other.create(session("a", { userId: "v", payload: "second" }));
    assert.deepEqual(second, { status: "duplicate" });
    const read = await store.get("a");
    assert.equal(read?.payload, "first");
    assert.equal(read?.userId, "u");
    assert.deepEqual(await store.listByUser("v"), []);
  },
};

const destroyAnswersWhatItEnded: ConformanceCase = {
  id: "destroy/answers-what-it-ended",
  promise: 1,
  title: "destroy answers the session it ended, and undefined the second time",
  async run({ store }) {
    await store.create(session("a", { userId: "u" }));
    await store.create(session("anonymous"));
    assert.deepEqual(await store.destroy("a"), { id: "a", userId: "u" });
    assert.equal(await store.get("a"), undefined);
    assert.equal(await store.destroy("a"), undefined);
    assert.deepEqual(await store.destroy("anonymous"), { id: "anonymous", userId: undefined });
  },
};

/** Stores that send reads together, or share them, may do so only with reads that are not sent yet. */
const readsAmongEnds: ConformanceCase = {
  id: "race/reads-among-ends",
  promise: 1,
  title:
    "of many reads at the same time each answers its own session, and none that began after an end sees what ended",
  async run({ store, open, rounds }) {
    const other = await open();
    for (let round = 0; round < rounds; round++) {
      const ids = Array.from({ length: 12 }, (_, n) => `a${round} ${n}`);
      await Promise.all(ids.map((id) => store.create(session(id))));
      const ended = new Set<string>();
      const readAll = async (ending?: string): Promise<void> => {
        const before = new Set(ended);
        const records = await Promise.all(ids.map((id) => store.get(id)));
        for (const [n, id] of ids.entries()) {
          const record = records[n];
          if (before.has(id)) assert.equal(record, undefined, "a read that began after the end saw the session");
          else if (id !== ending) assert.equal(record?.payload, `payload of ${id}`, "a read answered something else");
        }
      };
      for (const [n, id] of ids.slice(0, 6).entries()) {
        const reads = [readAll(id), readAll(id)];
        const ending = (n % 2 === 0 ? store : other).destroy(id);
        reads.push(readAll(id));
        await ending;
        ended.add(id);
        await Promise.all([...reads, readAll(id)]);
      }
    }
  },
};

/** The ways in which an id came to have no live session, each with its words for the title. */
const absences: readonly { name: string; words: string; arrange(context: CaseContext): Promise<void> }[] = [
  { name: "unknown", words: "an unknown id", arrange: async () => undefined },
  {
    name: "after-destroy",
    words: "a destroyed session",
    async arrange({ store }) {
      await store.create(session("a", { userId: "u" }));
      await store.destroy("a");
    },
  },
  {
    name: "after-destroy-by-user",
    words: "a session ended by destroyByUser",
    async arrange({ store }) {
      await store.create(session("a", { userId: "u" }));
      await store.destroyByUser("u");
    },
  },
  {
    name: "after-expiry",
    words: "an expired session",
    async arrange({ store, outlive }) {
      await store.create(session("a", { userId: "u", idleMs: 50 }));
      await outlive(50);
    },
  },
  {
    name: "after-sweep",
    words: "an expired session that was swept",
    async arrange({ store, outlive }) {
      await store.create(session("a", { userId: "u", idleMs: 50 }));
      await outlive(50);
      await store.sweep({ limit: 100 });
    },
  },
];

const nothingComesBack = absences.flatMap(({ name, words, arrange }): ConformanceCase[] => [
  {
    id: `update/${name}-stays-missing`,
    promise: 1,
    title: `update of ${words} answers missing and creates nothing`,
    async run(context) {
      const { store } = context;
      await arrange(context);
      const change = { payload: "late", userId: "u", idleMs: hour };
      assert.deepEqual(await store.update("a", change), { status: "missing" });
      assert.deepEqual(await store.update("a", change, { expectedVersion: 1 }), { status: "missing" });
      await assertNothingOf(context, "a");
    },
  },
  {
    id: `touch/${name}-stays-missing`,
    promise: 1,
    title: `touch of ${words} answers false and creates nothing`,
    async run(context) {
      await arrange(context);
      assert.equal(await context.store.touch("a", { idleMs: hour }), false);
      assert.equal(await context.store.touch("a", { idleMs: hour, shorten: true }), false);
      await assertNothingOf(context, "a");
    },
  },
  {
    id: `rename/${name}-stays-missing`,
    promise: 1,
    title: `rename of ${words} answers missing and creates nothing under either id`,
    async run(context) {
      const { store } = context;
      await arrange(context);
      assert.deepEqual(await store.rename("a", "b"), { status: "missing" });
      const change = { payload: "late", userId: "u", idleMs: hour };
      assert.deepEqual(await store.rename("a", "b", change, { expectedVersion: 1 }), { status: "missing" });
      await assertNothingOf(context, "a");
      await assertNothingOf(context, "b");
    },
  },
]);

async function assertNothingOf({ store }: CaseContext, id: string): Promise<void> {
  assert.equal(await store.get(id), undefined, `${id} came back to life`);
  assert.deepEqual(await store.listByUser("u"), [], "a session that is gone came back into the user's list");
  assert.equal(await store.destroy(id), undefined, `${id} was there to be destroyed`);
}

export const lifecycleCases: readonly ConformanceCase[] = [
  createAnswersTheRecord,
  createRefusesALiveId,
  destroyAnswersWhatItEnded,
  readsAmongEnds,
  ...nothingComesBack,
];
