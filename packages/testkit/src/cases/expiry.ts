import assert from "node:assert/strict";
import { isSessionError } from "@sojourn/core";
import { type CaseContext, type ConformanceCase, day, hour, idsOf, minute, session, sweepAll } from "../case.js";

/** A lifetime long enough to write the session on a busy machine in most attempts, and short enough to wait for. */
const shortMs = 50;

/** Promise 3: expiry never rounds to "forever" or to nothing. */
export const expiryCases: readonly ConformanceCase[] = [
  {
    id: "expiry/invisible-to-get-and-lists",
    promise: 3,
    title: "an expired session is invisible to get and listByUser before any sweep",
    async run(context) {
      await expireOneOfTwo(context);
      assert.equal(await context.store.get("short"), undefined);
      const listed = await context.store.listByUser("u");
      assert.deepEqual(idsOf(listed), ["long"]);
    },
  },
  {
    id: "expiry/invisible-to-destroy",
    promise: 3,
    title: "destroy and destroyByUser do not end an expired session",
    async run(context) {
      await expireOneOfTwo(context);
      assert.equal(await context.store.destroy("short"), undefined);
      assert.deepEqual(await context.store.destroyByUser("u"), ["long"]);
    },
  },
  {
    id: "expiry/invisible-to-scan",
    promise: 3,
    title: "an expired session is invisible to scan before any sweep",
    needs: (_, { scan }) => (scan ? undefined : "this store cannot scan"),
    async run(context) {
      await expireOneOfTwo(context);
      const seen = new Set<string>();
      for await (const { id } of context.store.scan()) seen.add(id);
      assert.deepEqual([...seen], ["long"]);
    },
  },
  {
    id: "expiry/invisible-to-count",
    promise: 3,
    title: "an expired session is not counted before any sweep",
    needs: (_, { count }) => (count ? undefined : "this store cannot count"),
    async run(context) {
      await expireOneOfTwo(context);
      assert.deepEqual(await context.store.count(), { sessions: 1, sessionsWithUser: 1, users: 1 });
    },
  },
  {
    id: "expiry/invisible-to-the-limit",
    promise: 3,
    title: "an expired session takes no place under a session limit and is not evicted",
    async run(context) {
      await expireOneOfTwo(context);
      const { store } = context;
      const refusing = { limit: { max: 2, whenReached: "reject" } } as const;
      assert.equal((await store.create(session("second", { userId: "u" }), refusing)).status, "created");
      const evicting = { limit: { max: 2, whenReached: "evictOldest" } } as const;
      const third = await store.create(session("third", { userId: "u" }), evicting);
      assert.equal(third.status, "created");
      assert.deepEqual(third.evicted, ["long"]);
    },
  },
  {
    id: "expiry/id-is-free-again",
    promise: 3,
    title: "create under the id of an expired session makes an independent session",
    async run(context) {
      await expireOneOfTwo(context);
      const { store } = context;
      const created = await store.create(session("short", { userId: "v", payload: "twin" }));
      assert.equal(created.status, "created");
      assert.equal(created.record.version, 1);
      assert.equal((await store.get("short"))?.payload, "twin");
      assert.deepEqual(idsOf(await store.listByUser("u")), ["long"], "the former user lists the new session");
      assert.deepEqual(idsOf(await store.listByUser("v")), ["short"]);
      await sweepAll(store);
      assert.equal((await store.get("short"))?.payload, "twin", "sweep took the new session for the expired one");
    },
  },
  {
    id: "expiry/rename-onto-an-expired-id",
    promise: 3,
    title: "the id of an expired session can be renamed to",
    async run(context) {
      await expireOneOfTwo(context);
      const { store } = context;
      const renamed = await store.rename("long", "short");
      assert.equal(renamed.status, "renamed");
      assert.equal((await store.get("short"))?.payload, "payload of long");
      assert.deepEqual(idsOf(await store.listByUser("u")), ["short"]);
    },
  },
  {
    id: "expiry/999-ms",
    promise: 3,
    title: "a session of 999 ms lives until its deadline and not much longer",
    run: (context) => assertEndsOnTime(context, 999),
  },
  {
    id: "expiry/1500-ms",
    promise: 3,
    title: "a session of 1,500 ms ends on time, within the precision",
    run: (context) => assertEndsOnTime(context, 1_500),
  },
  {
    id: "expiry/1-ms",
    promise: 3,
    title: "create of a session of 1 ms answers created, also when it expires on the way, and the session ends",
    async run({ store, outlive }) {
      const created = await store.create(session("a", { userId: "u", idleMs: 1 }));
      assert.equal(created.status, "created");
      assert.equal(created.record.expiresAt - created.record.createdAt, 1);
      await outlive(1);
      assert.equal(await store.get("a"), undefined);
      assert.deepEqual(await store.listByUser("u"), []);
    },
  },
  ...[31, 400].map(
    (days): ConformanceCase => ({
      id: `expiry/${days}-days`,
      promise: 3,
      title: `a session of ${days} days lives`,
      async run({ store, harness, pass, outlive }) {
        const life = days * day;
        await store.create(session("a", { userId: "u", idleMs: life, absoluteMs: life }));
        await pass(2);
        const read = await store.get("a");
        assert.ok(read !== undefined, `a session of ${days} days is gone at once`);
        assert.equal(read.expiresAt - read.createdAt, life);
        assert.equal(read.endsAt - read.createdAt, life);
        await store.create(session("b", { userId: "u", absoluteMs: life }));
        assert.equal(await store.touch("b", { idleMs: life }), true);
        await store.update("b", { payload: "p", idleMs: life });
        assert.deepEqual(idsOf(await store.listByUser("u")), ["a", "b"]);
        assert.equal((await store.rename("b", "c")).status, "renamed");
        assert.deepEqual(idsOf(await store.listByUser("u")), ["a", "c"]);
        if (harness.pass === undefined) return;
        await pass(life - minute);
        assert.deepEqual(idsOf(await store.listByUser("u")), ["a", "c"], `gone before ${days} days are over`);
        await outlive(minute);
        assert.deepEqual(await store.listByUser("u"), [], `alive after ${days} days`);
        assert.equal(await store.get("a"), undefined);
      },
    }),
  ),
  {
    id: "expiry/absolute-deadline-caps",
    promise: 3,
    title: "the absolute deadline caps the idle one, at creation and in update",
    async run({ store, outlive }) {
      const created = await store.create(session("a", { idleMs: 10 * hour, absoluteMs: hour }));
      assert.equal(created.status, "created");
      assert.equal(created.record.expiresAt, created.record.endsAt);
      assert.equal(created.record.endsAt - created.record.createdAt, hour);
      const updated = await store.update("a", { payload: "p", idleMs: 10 * hour });
      assert.equal(updated.status, "updated");
      assert.equal(updated.record.expiresAt, created.record.endsAt, "update moved the session beyond its end");
      assert.equal(updated.record.endsAt, created.record.endsAt);
      await store.create(session("short", { userId: "u", idleMs: hour, absoluteMs: shortMs }));
      await outlive(shortMs);
      assert.equal(await store.get("short"), undefined, "a session outlived its absolute deadline");
    },
  },
  {
    id: "expiry/update-moves-the-deadline",
    promise: 3,
    title: "update with idleMs counts as activity and moves the deadline, also nearer",
    async run({ store, pass, outlive }) {
      const created = await store.create(session("a", { userId: "u" }));
      assert.equal(created.status, "created");
      await pass(5);
      const longer = await store.update("a", { idleMs: 2 * hour });
      assert.equal(longer.status, "updated");
      assert.ok(longer.record.lastActiveAt > created.record.lastActiveAt, "update with idleMs is no activity");
      assert.equal(longer.record.expiresAt - longer.record.lastActiveAt, 2 * hour);
      const shorter = await store.update("a", { idleMs: shortMs });
      assert.equal(shorter.status, "updated");
      assert.equal(shorter.record.expiresAt - shorter.record.lastActiveAt, shortMs);
      await outlive(shortMs);
      assert.equal(await store.get("a"), undefined, "a deadline that moved nearer was not kept");
      assert.deepEqual(await store.listByUser("u"), []);
    },
  },
  {
    id: "expiry/refuses-what-is-no-duration",
    promise: 3,
    title: "0, negative, fractional, NaN and infinite durations are refused, and nothing changes",
    async run({ store }) {
      await store.create(session("a", { userId: "u" }));
      const before = await store.get("a");
      for (const ms of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        await assertRefused(() => store.create(session("b", { userId: "u", idleMs: ms })), `idleMs ${ms} in create`);
        await assertRefused(() => store.create(session("b", { userId: "u", absoluteMs: ms })), `absoluteMs ${ms}`);
        await assertRefused(() => store.update("a", { payload: "p", idleMs: ms }), `idleMs ${ms} in update`);
        await assertRefused(() => store.touch("a", { idleMs: ms, shorten: true }), `idleMs ${ms} in touch`);
        await assertRefused(() => store.rename("a", "b", { idleMs: ms }), `idleMs ${ms} in rename`);
      }
      assert.equal(await store.get("b"), undefined);
      const after = await store.get("a");
      assert.deepEqual({ ...after, now: 0 }, { ...before, now: 0 });
    },
  },
  {
    id: "sweep/reports-each-once",
    promise: 3,
    title: "sweep removes at most its limit, only what has expired, and reports each session once",
    needs: (_, { expiry }) => (expiry === "sweep" ? undefined : "the backend expires by itself"),
    async run({ store, open, outlive }) {
      const other = await open();
      await store.create(session("long", { userId: "u" }));
      const short = ["a", "b", "c", "d", "e"];
      for (const id of short)
        await store.create(session(id, { userId: id === "e" ? undefined : "u", idleMs: shortMs }));
      await outlive(shortMs);
      const swept = [];
      while (swept.length <= short.length) {
        const batch = await (swept.length % 4 === 0 ? store : other).sweep({ limit: 2 });
        assert.ok(batch.length <= 2, `sweep with limit 2 removed ${batch.length}`);
        swept.push(...batch);
        if (batch.length < 2) break;
      }
      swept.sort((a, b) => (a.id < b.id ? -1 : 1));
      const expected = short.map((id) => ({ id, userId: id === "e" ? undefined : "u" }));
      assert.deepEqual(swept, expected);
      assert.deepEqual(await store.sweep({ limit: 100 }), []);
      assert.equal((await store.get("long"))?.id, "long");
    },
  },
  {
    id: "sweep/nothing-where-the-backend-expires",
    promise: 3,
    title: "sweep returns no session where the backend expires by itself",
    needs: (_, { expiry }) => (expiry === "native" ? undefined : "the store has to be swept"),
    async run({ store, outlive }) {
      await store.create(session("long"));
      await store.create(session("short", { idleMs: shortMs }));
      await outlive(shortMs);
      assert.deepEqual(await store.sweep({ limit: 100 }), []);
      assert.equal((await store.get("long"))?.id, "long");
    },
  },
  {
    id: "race/sweeps-report-each-once",
    promise: 3,
    title: "sweeps that run at the same time remove everything that expired and report each session once",
    needs: (_, { expiry }) => (expiry === "sweep" ? undefined : "the backend expires by itself"),
    async run({ store, open, outlive }) {
      const other = await open();
      const ids = Array.from({ length: 20 }, (_, n) => `a${n}`);
      await Promise.all(ids.map((id) => store.create(session(id, { userId: "u", idleMs: shortMs }))));
      await outlive(shortMs);
      const swept: string[] = [];
      let quiet = 0;
      // A lock of one sweep may hide sessions from the other: both have finished when both find none twice.
      while (quiet < 2) {
        const batches = await Promise.all([store.sweep({ limit: 7 }), other.sweep({ limit: 7 })]);
        const found = batches.flat().map(({ id }) => id);
        quiet = found.length === 0 ? quiet + 1 : 0;
        swept.push(...found);
        assert.ok(swept.length <= ids.length, "a session was reported twice");
      }
      assert.deepEqual(swept.sort(), ids.sort());
    },
  },
  {
    id: "race/sweep-spares-a-new-twin",
    promise: 3,
    title: "a session created under, or renamed to, an expired id during a sweep stays alive",
    needs: (_, { expiry }) => (expiry === "sweep" ? undefined : "the backend expires by itself"),
    async run({ store, open, rounds, outlive }) {
      const other = await open();
      const ids = Array.from({ length: rounds }, (_, n) => `a${n}`);
      await Promise.all(ids.map((id) => store.create(session(id, { userId: "u", idleMs: shortMs }))));
      await Promise.all(ids.map((id) => store.create(session(`before ${id}`))));
      await outlive(shortMs);
      const gain = async (id: string, n: number): Promise<string> => {
        if (n % 5 === 0) await store.sweep({ limit: Math.ceil(rounds / 3) });
        const gained =
          n % 2 === 0
            ? await other.create(session(id, { userId: "v" }))
            : await other.rename(`before ${id}`, id, { userId: "v" });
        return gained.status;
      };
      const sweeps = [store.sweep({ limit: rounds }), other.sweep({ limit: rounds })];
      const statuses = await Promise.all(ids.map(gain));
      await Promise.all(sweeps);
      for (const [n, id] of ids.entries()) {
        const status = n % 2 === 0 ? "created" : "renamed";
        assert.equal(statuses[n], status, "an expired id was not free while it was swept");
        assert.equal((await store.get(id))?.userId, "v", "sweep took a new session for the expired one");
      }
      assert.equal((await store.listByUser("v")).length, rounds);
    },
  },
  {
    id: "race/touch-at-the-deadline",
    promise: 1,
    title: "a session touched at its deadline during sweeps is alive exactly if touch answered true",
    async run({ store, open, pass, rounds, capabilities }) {
      const other = await open();
      const ids = Array.from({ length: rounds }, (_, n) => `a${n}`);
      const life = 150;
      await Promise.all(ids.map((id) => store.create(session(id, { userId: "u", idleMs: life }))));
      await pass(life - 30);
      const touched: boolean[] = [];
      for (const [n, id] of ids.entries()) {
        const sweep = capabilities.expiry === "sweep" && n % 2 === 0 ? other.sweep({ limit: 1 }) : undefined;
        touched[n] = await store.touch(id, { idleMs: hour });
        await sweep;
        // Passes the deadline in small steps, so that a slow machine does not matter.
        await pass(Math.ceil((60 + 2 * capabilities.expiryPrecisionMs) / rounds));
      }
      await pass(life + 2 * capabilities.expiryPrecisionMs);
      for (const [n, id] of ids.entries()) {
        assert.equal((await store.get(id)) !== undefined, touched[n], `touch answered ${touched[n]}`);
      }
      const living = ids.filter((_, n) => touched[n]).sort();
      assert.deepEqual(idsOf(await store.listByUser("u")).sort(), living);
    },
  },
];

/** Promise 4: the backend's own expiry is really set. */
export const nativeExpiryCases: readonly ConformanceCase[] = [
  {
    id: "native-expiry/set-on-every-entry",
    promise: 4,
    title: "every entry, record or index, expires by the backend itself, not before its sessions and not much later",
    needs: needsNativeExpiries,
    async run(context) {
      const { store } = context;
      await store.create(session("a", { userId: "u", idleMs: hour }));
      await store.create(session("anonymous", { idleMs: hour }));
      await assertNativeExpiries(context, hour);
      await store.touch("a", { idleMs: 3 * hour });
      await assertNativeExpiries(context, 3 * hour);
      await store.update("a", { payload: "p", idleMs: 5 * hour });
      await assertNativeExpiries(context, 5 * hour);
      await store.update("a", { payload: "q" });
      await assertNativeExpiries(context, 5 * hour);
      await store.update("anonymous", { userId: "v" });
      await assertNativeExpiries(context, 5 * hour);
      await store.rename("a", "b", { userId: "w", idleMs: 7 * hour });
      await assertNativeExpiries(context, 7 * hour);
    },
  },
  {
    id: "native-expiry/long-lives",
    promise: 4,
    title: "the backend's own expiry holds 400 days",
    needs: needsNativeExpiries,
    async run(context) {
      await context.store.create(session("a", { userId: "u", idleMs: 400 * day, absoluteMs: 400 * day }));
      await assertNativeExpiries(context, 400 * day);
    },
  },
];

function needsNativeExpiries(
  harness: CaseContext["harness"],
  { expiry }: CaseContext["capabilities"],
): string | undefined {
  if (expiry !== "native") return "the store has to be swept";
  return harness.nativeExpiries === undefined ? "the harness has no nativeExpiries" : undefined;
}

async function assertNativeExpiries({ harness, namespace }: CaseContext, longest: number): Promise<void> {
  const remaining = (await harness.nativeExpiries?.(namespace)) ?? [];
  assert.ok(remaining.length > 0, "the harness sees no entry");
  assert.ok(!remaining.includes(undefined), "an entry would stay for ever");
  const last = Math.max(...remaining.map((ms) => ms ?? 0));
  // The bounds are generous: they distinguish hours from seconds and from no expiry, also on a busy machine.
  assert.ok(last > longest - 5 * minute, `the last entry leaves ${longest - last} ms before its session`);
  assert.ok(last < longest + 5 * minute, `the last entry leaves ${last - longest} ms after its session`);
}

/** User "u" has "short", which has expired, and "long". */
async function expireOneOfTwo({ store, outlive }: CaseContext): Promise<void> {
  await store.create(session("short", { userId: "u", idleMs: shortMs }));
  await store.create(session("long", { userId: "u" }));
  await outlive(shortMs);
}

/**
 * Watches a session end. It reads only the store's clock, so that a slow machine cannot fail the case: a reading that
 * finds the session follows a reading of the clock, and a reading that misses it precedes one.
 */
async function assertEndsOnTime({ store, capabilities, pass }: CaseContext, life: number): Promise<void> {
  await store.create(session("clock"));
  const clock = async (): Promise<number> => {
    // A copy in front of the store would tell an estimate of its time.
    const read = await store.get("clock", { fresh: true });
    assert.ok(read !== undefined, "a session of an hour is gone");
    return read.now;
  };
  const created = await store.create(session("a", { userId: "u", idleMs: life }));
  assert.equal(created.status, "created");
  const { expiresAt } = created.record;
  assert.equal(expiresAt - created.record.createdAt, life);
  for (;;) {
    const before = await clock();
    const read = await store.get("a");
    if (read === undefined) break;
    const latest = expiresAt + 2 * capabilities.expiryPrecisionMs;
    assert.ok(before < latest, `a session lives ${before - latest} ms longer than the precision allows`);
    await pass(20);
  }
  const ended = await clock();
  assert.ok(ended >= expiresAt, `a session ended ${expiresAt - ended} ms before its deadline`);
  assert.deepEqual(await store.listByUser("u"), []);
}

async function assertRefused(call: () => Promise<unknown>, what: string): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(isSessionError(error, "INVALID_ARGUMENT"), `${what} is not refused as INVALID_ARGUMENT but as ${error}`);
    return true;
  });
}
