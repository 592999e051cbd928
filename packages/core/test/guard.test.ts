import { setTimeout as delay } from "node:timers/promises";
import { ModelStore } from "@sojourn/testkit";
import { describe, expect, test, vi } from "vitest";
import {
  DriverStore,
  decorate,
  guardStore,
  isGuarded,
  SessionError,
  type SessionRecord,
} from "../src/adapter/index.js";
import { SessionManager } from "../src/index.js";
import { PendingDriver } from "./pending-driver.js";
import { gate, minute, setUp } from "./support.js";

const notSent = { name: "SessionError", code: "UNAVAILABLE", outcomeUnknown: false, retryable: true };
const timedOut = { name: "SessionError", code: "TIMEOUT", outcomeUnknown: true };
const batches = { reads: { max: 3, inFlight: 2 }, writes: { max: 3, inFlight: 2 } };
const session = { id: "a", payload: "p", idleMs: 1_000, absoluteMs: 1_000 };

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function verbs({ sent }: PendingDriver): string[] {
  return sent.map(({ verb, ids }) => `${verb} ${ids.join(",")}`);
}

function record(id: string, payload = "p"): SessionRecord {
  const times = { createdAt: 0, lastActiveAt: 0, expiresAt: 9, endsAt: 9, now: 0 };
  return { id, userId: undefined, payload, version: 1, ...times };
}

describe("one deadline", () => {
  test("a command that was sent and is not answered is TIMEOUT; of a read the outcome is known", async () => {
    const store = new DriverStore(new PendingDriver(30));
    const [read, write] = await Promise.allSettled([store.get("a"), store.destroy("b")]);
    expect(read).toMatchObject({ reason: { code: "TIMEOUT", outcomeUnknown: false } });
    expect(write).toMatchObject({ reason: timedOut });
  });

  test("a driver that waits for a connection has sent nothing: every method is UNAVAILABLE", async () => {
    const driver = new PendingDriver(30, batches);
    driver.withholds = true;
    const store = new DriverStore(driver);
    const calls = [
      store.get("a"),
      store.create({ ...session, id: "b" }),
      store.update("c", { payload: "p" }),
      store.update("d", { userId: "u" }),
      store.touch("e", { idleMs: 1 }),
      store.rename("f", "g"),
      store.destroy("h"),
      store.listByUser("u"),
      store.destroyByUser("u"),
      store.count(),
      store.clear(),
      store.scan().next(),
    ];
    for (const outcome of await Promise.allSettled(calls)) expect(outcome).toMatchObject({ reason: notSent });
    driver.lend();
    await turn();
    expect(driver.sent).toEqual([]);
  });

  test("a call may be shorter than the store, and a moment shorter than both", async () => {
    const store = new DriverStore(new PendingDriver(60_000));
    const startedAt = performance.now();
    await expect(store.get("a", {}, { timeoutMs: 20 })).rejects.toMatchObject({ code: "TIMEOUT" });
    await expect(store.get("a", {}, { deadline: performance.now() + 20 })).rejects.toMatchObject({ code: "TIMEOUT" });
    await expect(store.destroy("a", { deadline: performance.now() - 1 })).rejects.toMatchObject(notSent);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  test("a decorator that makes two calls passes a moment, and both end at it", async () => {
    const driver = new PendingDriver(60_000);
    const inner = new DriverStore(driver);
    const store = decorate(inner, {
      get: async (id, options, call = {}) => {
        const deadline = performance.now() + (call.timeoutMs ?? 0);
        await inner.get(id, options, { deadline });
        return inner.get(id, options, { deadline });
      },
    });
    const read = store.get("a", {}, { timeoutMs: 200 });
    await vi.waitFor(() => expect(driver.sent).toHaveLength(1));
    driver.sent[0]?.answer(undefined);
    await vi.waitFor(() => expect(driver.sent).toHaveLength(2));
    const [first, second] = driver.sent;
    expect(second?.call.deadline).toBe(first?.call.deadline);
    await expect(read).rejects.toMatchObject({ code: "TIMEOUT" });
  });

  test("each step of scan and clear has a deadline of its own", async () => {
    const driver = new PendingDriver(200);
    const store = new DriverStore(driver);
    const walk = (async () => {
      const ids: string[] = [];
      for await (const { id } of store.scan()) ids.push(id);
      return ids;
    })();
    const cleared = store.clear();
    for (const step of [0, 1, 2]) {
      await vi.waitFor(() => expect(driver.sent).toHaveLength(2 * (step + 1)));
      // Three steps take longer than the timeout of one.
      await delay(90);
      for (const { verb, answer } of driver.sent.slice(2 * step)) {
        const next = step < 2 ? step + 1 : undefined;
        answer(verb === "scan" ? { records: [record(`s${step}`)], next } : next);
      }
    }
    expect(await walk).toEqual(["s0", "s1", "s2"]);
    await cleared;
  });
});

describe("order per session", () => {
  test("commands of one session follow each other, those of others do not wait", async () => {
    const driver = new PendingDriver(60_000);
    const store = new DriverStore(driver);
    const ended = [store.update("a", { payload: "p" }), store.destroy("a"), store.destroy("b")];
    expect(verbs(driver)).toEqual(["write a", "destroy b"]);
    driver.sent[0]?.answer({ status: "written", record: record("a"), evicted: [] });
    await turn();
    expect(verbs(driver)).toEqual(["write a", "destroy b", "destroy a"]);
    for (const { answer } of driver.sent.slice(1)) answer(undefined);
    await Promise.all(ended);
  });

  test("nineteen commands behind one that hangs are UNAVAILABLE at their deadline, and never sent", async () => {
    const driver = new PendingDriver(60_000);
    const store = new DriverStore(driver);
    // One moment for all: a timeout begins at its own call, and a slow machine spreads the calls.
    const deadline = performance.now() + 40;
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => store.destroy("a", { deadline })));
    await turn();
    expect(verbs(driver)).toEqual(["destroy a"]);
    expect(outcomes[0]).toMatchObject({ reason: timedOut });
    for (const outcome of outcomes.slice(1)) expect(outcome).toMatchObject({ reason: notSent });
  });

  test("a driver that never answers gives back the turn and the place in flight at the deadline", async () => {
    const driver = new PendingDriver(40, { reads: { max: 1, inFlight: 1 } });
    const store = new DriverStore(driver);
    await Promise.allSettled([store.destroy("a"), store.get("a")]);
    const patient = { timeoutMs: 60_000 };
    const [destroyed, read] = [store.destroy("a", patient), store.get("a", {}, patient)];
    await turn();
    expect(driver.sent).toHaveLength(4);
    for (const { answer } of driver.sent) answer(undefined);
    expect(await Promise.all([destroyed, read])).toEqual([undefined, undefined]);
  });
});

describe("the caller's signal", () => {
  test("drops a command that waits for its turn", async () => {
    const driver = new PendingDriver(60_000);
    const store = new DriverStore(driver);
    const first = store.destroy("a");
    const controller = new AbortController();
    const second = store.destroy("a", { signal: controller.signal });
    controller.abort("left");
    await expect(second).rejects.toMatchObject({ code: "ABORTED", outcomeUnknown: false, cause: "left" });
    driver.sent[0]?.answer(undefined);
    await first;
    await turn();
    expect(verbs(driver)).toEqual(["destroy a"]);
  });

  test("lets go of no connection, and of no turn, once the command was sent", async () => {
    const driver = new PendingDriver(60_000);
    const store = new DriverStore(driver);
    const controller = new AbortController();
    const first = store.destroy("a", { signal: controller.signal });
    const [sent] = driver.sent;
    const letGo = vi.fn();
    if (sent !== undefined) sent.call.onOver = letGo;
    controller.abort();
    await expect(first).rejects.toMatchObject({ code: "ABORTED", outcomeUnknown: true });
    const second = store.destroy("a");
    await turn();
    expect(verbs(driver)).toEqual(["destroy a"]);
    expect(letGo).not.toHaveBeenCalled();
    sent?.answer(undefined);
    await vi.waitFor(() => expect(driver.sent).toHaveLength(2));
    driver.sent[1]?.answer(undefined);
    await second;
  });

  test("is not the driver's: its own signal fires at the deadline, with onOver, once", async () => {
    const driver = new PendingDriver(30);
    const store = new DriverStore(driver);
    const read = store.listByUser("u");
    const [sent] = driver.sent;
    const letGo = vi.fn();
    if (sent !== undefined) sent.call.onOver = letGo;
    expect(sent?.call.signal.aborted).toBe(false);
    await expect(read).rejects.toMatchObject({ code: "TIMEOUT" });
    expect(letGo).toHaveBeenCalledOnce();
    expect(sent?.call.over).toBe(true);
    expect(sent?.call.signal.aborted).toBe(true);
  });
});

describe("batches", () => {
  test("reads of one tick travel together, each session once", async () => {
    const driver = new PendingDriver(60_000, batches);
    const store = new DriverStore(driver);
    const reads = ["a", "b", "a", "c", "d"].map((id) => store.get(id));
    await turn();
    expect(verbs(driver)).toEqual(["readMany a,b,c", "read d"]);
    driver.sent[0]?.answer(new Map([["a", record("a")]]));
    driver.sent[1]?.answer(undefined);
    const answers = await Promise.all(reads);
    expect(answers.map((answer) => answer?.id)).toEqual(["a", undefined, "a", undefined, undefined]);
  });

  test("a corrupt record fails its own readers alone", async () => {
    const driver = new PendingDriver(60_000, batches);
    const store = new DriverStore(driver);
    const reads = ["a", "b"].map((id) => store.get(id));
    await turn();
    const corrupt = new SessionError("CORRUPT", "a is corrupt");
    driver.sent[0]?.answer(
      new Map<string, unknown>([
        ["a", corrupt],
        ["b", record("b")],
      ]),
    );
    const [a, b] = await Promise.allSettled(reads);
    expect(a).toMatchObject({ reason: corrupt });
    expect(b).toMatchObject({ value: { id: "b" } });
  });

  test("a read never joins a request that has been sent", async () => {
    const driver = new PendingDriver(60_000, batches);
    const store = new DriverStore(driver);
    const early = store.get("a");
    await turn();
    const late = store.get("a");
    await turn();
    expect(verbs(driver)).toEqual(["read a", "read a"]);
    driver.sent[1]?.answer(undefined);
    driver.sent[0]?.answer(record("a"));
    expect(await late).toBeUndefined();
    expect((await early)?.id).toBe("a");
  });

  test("no more requests than allowed are under way, and later reads wait and travel together", async () => {
    const driver = new PendingDriver(60_000, batches);
    const store = new DriverStore(driver);
    const reads: Promise<unknown>[] = [];
    for (const id of ["a", "b", "c", "d"]) {
      reads.push(store.get(id));
      await turn();
    }
    expect(verbs(driver)).toEqual(["read a", "read b"]);
    driver.sent[0]?.answer(undefined);
    await turn();
    expect(verbs(driver)).toEqual(["read a", "read b", "readMany c,d"]);
    driver.sent[1]?.answer(undefined);
    driver.sent[2]?.answer(new Map());
    await Promise.all(reads);
  });

  test("a member that ended before the request was sent is never sent", async () => {
    const driver = new PendingDriver(60_000, batches);
    driver.withholds = true;
    const store = new DriverStore(driver);
    const controller = new AbortController();
    const stays = store.update("a", { payload: "p" });
    const leaves = store.update("b", { payload: "p" }, {}, { signal: controller.signal });
    const expires = store.update("c", { payload: "p" }, {}, { timeoutMs: 20 });
    await turn();
    controller.abort();
    await expect(leaves).rejects.toMatchObject({ code: "ABORTED", outcomeUnknown: false });
    await expect(expires).rejects.toMatchObject(notSent);
    driver.lend();
    await turn();
    expect(verbs(driver)).toEqual(["writeMany a"]);
    driver.sent[0]?.answer(new Map([["a", { status: "written", record: record("a"), evicted: [] }]]));
    expect(await stays).toMatchObject({ status: "updated" });
  });

  test("a request ends with its last member, and then lets go of its connection", async () => {
    const driver = new PendingDriver(60_000, batches);
    const store = new DriverStore(driver);
    const bounds = [20, 60].map((timeoutMs) => ({ timeoutMs }));
    const touches = bounds.map((call, n) => store.touch(`t${n}`, { idleMs: 1 }, call));
    await turn();
    const letGo = vi.fn();
    const [sent] = driver.sent;
    if (sent !== undefined) sent.call.onOver = letGo;
    await expect(touches[0]).rejects.toMatchObject(timedOut);
    expect(letGo).not.toHaveBeenCalled();
    await expect(touches[1]).rejects.toMatchObject(timedOut);
    expect(letGo).toHaveBeenCalledOnce();
  });

  test("a write that the request leaves out goes alone, and so does each one of a request that is refused", async () => {
    const driver = new PendingDriver(60_000, batches);
    const store = new DriverStore(driver);
    const touches = ["a", "b"].map((id) => store.touch(id, { idleMs: 1 }));
    await turn();
    driver.sent[0]?.answer(new Map([["a", true]]));
    await turn();
    expect(verbs(driver)).toEqual(["touchMany a,b", "touch b"]);
    driver.sent[1]?.answer(false);
    expect(await Promise.all(touches)).toEqual([true, false]);
    const writes = ["c", "d"].map((id) => store.update(id, { payload: "p" }));
    await turn();
    driver.sent[2]?.fail(new Error("one of them is refused"));
    await turn();
    expect(verbs(driver).slice(2)).toEqual(["writeMany c,d", "write c", "write d"]);
    for (const { answer } of driver.sent.slice(3)) answer({ status: "missing" });
    expect(await Promise.all(writes)).toEqual([{ status: "missing" }, { status: "missing" }]);
  });

  test("writes of a request whose outcome is unknown are not sent again", async () => {
    const driver = new PendingDriver(60_000, batches);
    const store = new DriverStore(driver);
    const touches = ["a", "b"].map((id) => store.touch(id, { idleMs: 1 }));
    await turn();
    driver.sent[0]?.fail("lost");
    for (const outcome of await Promise.allSettled(touches)) {
      expect(outcome).toMatchObject({ reason: { code: "BACKEND", outcomeUnknown: true } });
    }
    expect(driver.sent).toHaveLength(1);
  });
});

describe("guarded stores", () => {
  test("a store of a driver and its decorators guard themselves; a Proxy and a foreign store do not", () => {
    const store = new DriverStore(new PendingDriver());
    expect(isGuarded(store)).toBe(true);
    expect(isGuarded(decorate(store, {}))).toBe(true);
    expect(guardStore(store)).toBe(store);
    const foreign = new ModelStore();
    for (const other of [new Proxy(store, {}), foreign, decorate(foreign, {})]) {
      expect(isGuarded(other)).toBe(false);
      expect(isGuarded(guardStore(other))).toBe(true);
    }
  });

  test("after close every call is CLOSED, and close is called once", async () => {
    const driver = new PendingDriver();
    const close = vi.spyOn(driver, "close");
    const store = new DriverStore(driver);
    await Promise.all([store.close(), store.close()]);
    expect(close).toHaveBeenCalledOnce();
    await expect(store.get("a")).rejects.toMatchObject({ code: "CLOSED" });
    expect(driver.sent).toEqual([]);
  });
});

test("64 reads of one session in one tick are one read and one touch", async () => {
  const { manager, clock, calls } = setUp();
  const { token } = await manager.create({ data: {} });
  clock.now += 20 * 60_000;
  calls.length = 0;
  const sessions = await Promise.all(Array.from({ length: 64 }, () => manager.get(token)));
  expect(sessions.every((each) => each !== undefined)).toBe(true);
  expect(calls).toEqual(["get", "touch"]);
});

test.each([
  ["20s", 1],
  [0, 2],
] as const)(
  "reads during a touch with touchAfter %s: %i touches, each reader with its own version",
  async (touchAfter, touches) => {
    const held = gate();
    const fixture = setUp({ touchAfter, idleTimeout: "30m" });
    const slow = decorate(guardStore(fixture.store), {
      touch: async (...args) => {
        await held.opened;
        return fixture.store.touch(...args);
      },
      peek: () => undefined,
    });
    const clock = { now: () => fixture.clock.now };
    const manager = new SessionManager({ store: slow, sweep: false, touchAfter, idleTimeout: "30m", clock });
    const { token, session } = await manager.create({ data: {} });
    const { payload = "" } = (await fixture.store.get(session.id)) ?? {};
    fixture.clock.now += 60_000;
    const first = manager.get(token);
    await turn();
    await fixture.store.update(session.id, { payload });
    const second = manager.get(token);
    await turn();
    held.open();
    const expiresAt = fixture.clock.now + 30 * minute;
    expect(await first).toMatchObject({ version: 1, expiresAt });
    expect(await second).toMatchObject({ version: 2, expiresAt });
    expect(fixture.calls.filter((call) => call === "touch")).toHaveLength(touches);
  },
);
