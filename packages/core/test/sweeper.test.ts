import { ModelBackend, ModelStore } from "@sojourn/testkit";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type EndedSession, SessionManager, Sweeper } from "../src/index.js";
import { gate, overriding } from "./support.js";

const minute = 60_000;

async function expiredStore(count: number): Promise<ModelStore> {
  const clock = { now: 1_000 };
  const store = new ModelStore(new ModelBackend(() => clock.now));
  for (let n = 0; n < count; n++) await store.create({ id: `s${n}`, payload: "", idleMs: 10, absoluteMs: 10 });
  clock.now += 10;
  return store;
}

describe("a sweep", () => {
  test("removes everything expired in batches and reports each session once", async () => {
    const store = await expiredStore(25);
    const batches: number[] = [];
    const swept: EndedSession[] = [];
    const sweeper = new Sweeper({
      store,
      batchSize: 10,
      onSwept: (sessions) => {
        batches.push(sessions.length);
        swept.push(...sessions);
      },
    });
    expect(await sweeper.run()).toBe(25);
    expect(batches).toEqual([10, 10, 5]);
    expect(new Set(swept.map(({ id }) => id)).size).toBe(25);
    expect(await sweeper.run()).toBe(0);
  });

  test("never overlaps: a call during a run shares it", async () => {
    const hold = gate();
    let calls = 0;
    const store = overriding(await expiredStore(1), (method, original) => async (...args) => {
      if (method === "sweep") {
        calls++;
        await hold.opened;
      }
      return original(...args);
    });
    const sweeper = new Sweeper({ store });
    const runs = [sweeper.run(), sweeper.run()];
    hold.open();
    expect(await Promise.all(runs)).toEqual([1, 1]);
    expect(calls).toBe(1);
  });
});

describe("the timer", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  test.each([
    [0, 0.5],
    [0.999999, 1.5],
  ])("waits between half and one and a half of the interval (random %d)", async (random, factor) => {
    vi.spyOn(Math, "random").mockReturnValue(random);
    const store = await expiredStore(1);
    const swept = vi.fn();
    const sweeper = new Sweeper({ store, interval: "1m", onSwept: swept }).start();
    await vi.advanceTimersByTimeAsync(minute * factor - 100);
    expect(swept).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(101);
    expect(swept).toHaveBeenCalledOnce();
    await sweeper.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("survives a failing store and reports it", async () => {
    const onError = vi.fn();
    let failing = true;
    const swept = vi.fn();
    const store = overriding(await expiredStore(1), (method, original) => async (...args) => {
      if (method === "sweep" && failing) throw new Error("down");
      return original(...args);
    });
    const sweeper = new Sweeper({ store, interval: minute, onError, onSwept: swept }).start();
    await vi.advanceTimersByTimeAsync(2 * minute);
    expect(onError).toHaveBeenCalled();
    failing = false;
    await vi.advanceTimersByTimeAsync(2 * minute);
    expect(swept).toHaveBeenCalledOnce();
    await sweeper.stop();
  });

  test("goes on when onError itself fails", async () => {
    const onError = vi.fn(() => {
      throw new Error("nobody is left to tell");
    });
    const store = overriding(await expiredStore(1), (method, original) => async (...args) => {
      if (method === "sweep") throw new Error("down");
      return original(...args);
    });
    const sweeper = new Sweeper({ store, interval: minute, onError }).start();
    await vi.advanceTimersByTimeAsync(10 * minute);
    expect(onError.mock.calls.length).toBeGreaterThan(1);
    await sweeper.stop();
  });

  test("does not fire at once for an interval beyond what a timer can hold", async () => {
    const swept = vi.fn();
    const sweeper = new Sweeper({ store: await expiredStore(1), interval: "400d", onSwept: swept }).start();
    await vi.advanceTimersByTimeAsync(minute);
    expect(swept).not.toHaveBeenCalled();
    await sweeper.stop();
  });

  test("of a manager emits expired and ends with close", async () => {
    const clock = { now: 1_000 };
    const store = new ModelStore(new ModelBackend(() => clock.now));
    const manager = new SessionManager({ store, idleTimeout: 10, absoluteTimeout: 10, sweep: { interval: minute } });
    const expired: EndedSession[] = [];
    manager.on("expired", (session) => expired.push(session));
    const { session } = await manager.create({ data: {}, userId: "42" });
    clock.now += 10;
    await vi.advanceTimersByTimeAsync(2 * minute);
    expect(expired).toMatchObject([{ id: session.id, userId: "42" }]);
    await manager.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});

test("a started sweeper does not keep the process alive", async () => {
  // Lists what keeps the event loop alive: a timer that was unref'd is not in it.
  const timers = (): number => process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length;
  const before = timers();
  const sweeper = new Sweeper({ store: new ModelStore(), interval: "1h" }).start();
  expect(timers()).toBe(before);
  await sweeper.stop();
});

test("a stopped sweeper waits for the run under way and starts no other", async () => {
  const hold = gate();
  let finished = false;
  const store = overriding(await expiredStore(1), (method, original) => async (...args) => {
    if (method === "sweep") await hold.opened;
    const result = await original(...args);
    finished = true;
    return result;
  });
  const sweeper = new Sweeper({ store, interval: 1 }).start();
  void sweeper.run();
  const stopped = sweeper.stop();
  expect(finished).toBe(false);
  hold.open();
  await stopped;
  expect(finished).toBe(true);
});

test.each([
  [{ interval: "5" }, /option "interval"/],
  [{ batchSize: 0 }, /option "batchSize" must be a positive integer, received 0/],
  [{ intervall: "5m" }, /unknown option "intervall"/],
])("refuses %o", (options, message) => {
  // Values that a JavaScript caller may pass.
  expect(() => new Sweeper({ store: new ModelStore(), ...(options as object) })).toThrow(message);
});
