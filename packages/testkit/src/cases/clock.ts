import assert from "node:assert/strict";
import { type ConformanceCase, day, hour, idsOf, minute, session } from "../case.js";

/** Promise 16: a backend's own clock judges deadlines. */
export const clockCases: readonly ConformanceCase[] = [1, -1].map(
  (sign): ConformanceCase => ({
    id: `clock/${sign > 0 ? "an-hour-fast" : "an-hour-slow"}`,
    promise: 16,
    exclusive: true,
    title: `a node whose clock is an hour ${sign > 0 ? "fast" : "slow"} ends no live session and keeps no expired one`,
    needs: (_, { clock }) => (clock === "server" ? undefined : "deadlines are judged by the clock of this process"),
    async run({ store, open, outlive }) {
      const life = 30 * minute;
      const skewed = await open();
      const theirs = await store.create(session("theirs", { userId: "u", idleMs: life, absoluteMs: life }));
      assert.equal(theirs.status, "created");
      await withClock(sign * hour, async () => {
        assert.equal((await skewed.get("theirs"))?.id, "theirs", "a wrong clock ended a live session");
        assert.equal(await skewed.touch("theirs", { idleMs: 10 * minute }), true);
        assert.equal((await skewed.update("theirs", { payload: "p" })).status, "updated");
        const mine = await skewed.create(session("mine", { userId: "u", idleMs: life, absoluteMs: day }));
        assert.equal(mine.status, "created");
        const drift = Math.abs(mine.record.createdAt - theirs.record.createdAt);
        assert.ok(drift < 10 * minute, `createdAt is ${drift} ms off: the time of the node, not of the backend`);
        assert.equal(await skewed.touch("mine", { idleMs: 20 * minute, shorten: true }), true);
        assert.equal((await skewed.rename("mine", "renamed", { idleMs: life })).status, "renamed");
        await skewed.create(session("short", { userId: "u", idleMs: 100 }));
      });
      const read = await store.get("renamed");
      assert.ok(read !== undefined, "a session written by a node with a wrong clock is gone");
      const left = read.expiresAt - read.now;
      assert.ok(left > life - 10 * minute && left <= life, `${left} ms are left of ${life}`);
      assert.ok(read.lastActiveAt <= read.now, "lastActiveAt lies in the future");
      assert.equal(await store.touch("renamed", { idleMs: 2 * hour }), true);
      const touched = await store.get("renamed");
      assert.ok(touched !== undefined && touched.expiresAt - touched.now > hour, "a longer touch looked shorter");
      await outlive(100);
      assert.equal(await store.get("short"), undefined, "a node with a wrong clock kept a dead session");
      assert.deepEqual(idsOf(await store.listByUser("u")).sort(), ["renamed", "theirs"]);
      await withClock(sign * hour, async () => {
        assert.equal(await skewed.get("short"), undefined);
        assert.deepEqual(idsOf(await skewed.listByUser("u")).sort(), ["renamed", "theirs"]);
      });
    },
  }),
);

/** Runs `work` while the clock of this process is wrong by `offset` milliseconds. */
async function withClock(offset: number, work: () => Promise<void>): Promise<void> {
  const trueDate = globalThis.Date;
  const now = (): number => trueDate.now() + offset;
  globalThis.Date = new Proxy(trueDate, {
    construct: (target, args) => (args.length === 0 ? new target(now()) : Reflect.construct(target, args)),
    get: (target, key) => (key === "now" ? now : Reflect.get(target, key)),
  });
  try {
    await work();
  } finally {
    globalThis.Date = trueDate;
  }
}
