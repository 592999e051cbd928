import { AssertionError } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { EndedSession } from "@sojourn/core";
import type { RenameResult, SessionChange, SessionRecord, TouchOptions, UpdateResult } from "@sojourn/core/adapter";
import { describe, expect, test } from "vitest";
import { hour, minute, session } from "../src/case.js";
import {
  type ExploredBackend,
  explore,
  operations,
  race,
  type Scenario,
  type Step,
  steppedStore,
} from "../src/index.js";
import { kinds, SimulatedBackend, SimulatedStore } from "./simulated.js";

const { create, update, touch, rename, destroy, destroyByUser, get, listByUser, pass } = operations;

/** Starts backends in this process, with stores of a class on them. */
function startsWith(Store: typeof SimulatedStore): () => ExploredBackend {
  return () => {
    let now = 1_700_000_000_000;
    const backend = new SimulatedBackend("explored", { backends: new Map(), now: () => now });
    return {
      connect: (step: Step) => {
        const store = new Store(backend, kinds.swept);
        store.step = step;
        return store;
      },
      pass: async (ms) => {
        now += ms;
      },
    };
  };
}

/** "a" belongs to "u" and ends in half an hour. */
function scenario(...chosen: Scenario["operations"]): Scenario {
  return {
    name: chosen.map(({ name }) => name).join(", "),
    arrange: (store) => store.create(session("a", { userId: "u", idleMs: 30 * minute })),
    operations: chosen,
    ids: ["a", "b"],
    users: ["u", "v"],
  };
}

/** Each operation takes several requests, as on a backend without transactions: read, then write. */
class TwoRequestStore extends SimulatedStore {
  override async update(id: string, ...rest: [SessionChange]): Promise<UpdateResult> {
    return this.#readThenWrite(id, () => super.update(id, ...rest));
  }
  override async touch(id: string, options: TouchOptions): Promise<boolean> {
    return this.#readThenWrite(id, () => super.touch(id, options));
  }
  override async rename(...args: Parameters<SimulatedStore["rename"]>): Promise<RenameResult> {
    return this.#readThenWrite(args[0], () => super.rename(...args));
  }
  override async destroy(id: string): Promise<EndedSession | undefined> {
    await this.step?.();
    return super.destroy(id);
  }
  override async destroyByUser(userId: string): Promise<string[]> {
    await this.step?.();
    return super.destroyByUser(userId);
  }
  override async sweep(...args: Parameters<SimulatedStore["sweep"]>): Promise<EndedSession[]> {
    await this.step?.();
    return super.sweep(...args);
  }
  override async get(id: string): Promise<SessionRecord | undefined> {
    await this.step?.();
    return super.get(id);
  }

  async #readThenWrite<T>(id: string, write: () => Promise<T>): Promise<T> {
    await this.step?.();
    const read = this.live(id);
    await this.step?.();
    if (read !== undefined) this.write(read);
    return write();
  }
}

/**
 * As above, corrected: the second request compares the record with the first read, and the operation starts again on a
 * difference.
 */
class ComparingStore extends SimulatedStore {
  override async update(id: string, ...rest: [SessionChange]): Promise<UpdateResult> {
    return this.#compareAndSwap(id, () => super.update(id, ...rest));
  }
  override async touch(id: string, options: TouchOptions): Promise<boolean> {
    return this.#compareAndSwap(id, () => super.touch(id, options));
  }
  override async destroy(id: string): Promise<EndedSession | undefined> {
    return this.#compareAndSwap(id, () => super.destroy(id));
  }

  async #compareAndSwap<T>(id: string, write: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.step?.();
      const read = this.live(id);
      await this.step?.();
      if (this.live(id) === read) return write();
    }
  }
}

/** Two requests under a lock, which the next waiting operation gets at its release. */
class LockingStore extends SimulatedStore {
  override async update(id: string, ...rest: [SessionChange]): Promise<UpdateResult> {
    return this.#locked(() => super.update(id, ...rest));
  }
  override async touch(id: string, options: TouchOptions): Promise<boolean> {
    return this.#locked(() => super.touch(id, options));
  }

  async #locked<T>(work: () => Promise<T>): Promise<T> {
    await this.step?.();
    const { notes } = this.backend;
    while (notes.has("lock")) await notes.get("lock");
    let release = (): void => undefined;
    const lock = new Promise<void>((resolve) => {
      release = resolve;
    });
    notes.set("lock", lock);
    await this.step?.();
    try {
      return await work();
    } finally {
      notes.delete("lock");
      release();
    }
  }
}

describe("explore", () => {
  test("runs every order in which requests can interleave, once", async () => {
    const scenarios = [
      scenario(update("a", { payload: "p" }), touch("a", { idleMs: hour })),
      scenario(update("a", { payload: "p" }), touch("a", { idleMs: hour }), destroy("a")),
    ];
    const explored = await Promise.all(scenarios.map((one) => explore(one, startsWith(SimulatedStore))));
    // One request each: 2! and 3! orders.
    expect(explored).toEqual([
      { schedules: 2, complete: true },
      { schedules: 6, complete: true },
    ]);
  });

  test("counts the interleavings of two requests each", async () => {
    const { schedules, complete } = await explore(
      scenario(update("a", { payload: "p" }), touch("b", { idleMs: hour })),
      startsWith(ComparingStore),
    );
    // Each operation's first request comes with its call: 4! / (2! 2!) orders of two twos.
    expect({ schedules, complete }).toEqual({ schedules: 6, complete: true });
  });

  const writes = [update("a", { payload: "updated" }), touch("a", { idleMs: hour }), rename("a", "b")];
  const ends = [destroy("a"), destroyByUser("u")];
  const mistakes = writes.flatMap((write) =>
    [...ends, ...writes.filter((other) => other !== write)].map((other) => [write, other]),
  );
  for (const pair of mistakes) {
    const { name } = scenario(...pair);
    test(`finds what a store of two requests does wrong: ${name}`, async () => {
      const exploring = explore(scenario(...pair), startsWith(TwoRequestStore));
      await expect(exploring).rejects.toThrow(/no order of the operations explains/);
      await expect(exploring).rejects.toBeInstanceOf(AssertionError);
    });
  }

  test("finds a session that a slow write keeps past its deadline", async () => {
    class HastyStore extends SimulatedStore {
      override async touch(id: string, { idleMs }: TouchOptions): Promise<boolean> {
        const judged = this.live(id);
        await this.step?.();
        await this.step?.();
        if (judged === undefined) return false;
        this.write({ ...judged, expiresAt: this.backend.now() + idleMs });
        return true;
      }
    }
    const late = scenario(touch("a", { idleMs: hour }), pass(31 * minute));
    await expect(explore(late, startsWith(HastyStore))).rejects.toThrow(/no order/);
    await expect(explore(late, startsWith(ComparingStore))).resolves.toMatchObject({ complete: true });
  });

  test("finds nothing where the second request compares", async () => {
    const chosen = [update("a", { payload: "updated" }), touch("a", { idleMs: hour }), destroy("a")];
    const { schedules, complete } = await explore(scenario(...chosen), startsWith(ComparingStore));
    expect(complete).toBe(true);
    // More than 6! / (2! 2! 2!) = 90, because the loser starts again.
    expect(schedules).toBeGreaterThan(90);
  });

  test("keeps to what was answered before something else was asked", async () => {
    class StaleStore extends SimulatedStore {
      override async get(id: string): Promise<SessionRecord | undefined> {
        const kept = this.backend.sessions.get(id) ?? this.#seen;
        return kept && this.read(kept);
      }
      #seen = this.live("a");
    }
    const reading = scenario(destroy("a"), get("a"), listByUser("u"));
    await expect(explore(reading, startsWith(StaleStore))).rejects.toThrow(/no order/);
  });

  test("lets an operation wait for another's lock", async () => {
    const chosen = [update("a", { payload: "updated" }), touch("a", { idleMs: hour }), update("a", { userId: "v" })];
    await expect(explore(scenario(...chosen), startsWith(LockingStore))).resolves.toMatchObject({ complete: true });
  });

  test("reports operations that never answer, with the schedule", async () => {
    class StuckStore extends SimulatedStore {
      override async touch(): Promise<boolean> {
        return new Promise(() => undefined);
      }
    }
    const stuck = explore(scenario(touch("a", { idleMs: hour }), get("a")), startsWith(StuckStore));
    await expect(stuck).rejects.toThrow(/touch a never answer[\s\S]*schedule: touch a/);
  });

  test("waits for one that is merely slow to answer its last request", async () => {
    class SlowStore extends SimulatedStore {
      override async get(id: string): Promise<SessionRecord | undefined> {
        await sleep(30);
        return super.get(id);
      }
    }
    const options = { sample: { schedules: 2 }, blockedAfterMs: 5 };
    const explored = await explore(scenario(get("a"), get("b")), startsWith(SlowStore), options);
    expect(explored.schedules).toBe(2);
  });

  test("draws a sample where all would be too many, the same for the same seed", async () => {
    const chosen = [update("a", { payload: "updated" }), touch("a", { idleMs: hour }), destroy("a")];
    const sampled = await explore(scenario(...chosen), startsWith(ComparingStore), {
      sample: { schedules: 25, seed: 7 },
    });
    expect(sampled).toEqual({ schedules: 25, complete: false });
  });

  test("explores whole stores under what is built on them", async () => {
    const start = (): ExploredBackend => {
      const backend = new SimulatedBackend("explored", { backends: new Map(), now: () => 1_700_000_000_000 });
      return { connect: (step) => steppedStore(new SimulatedStore(backend, kinds.swept), step) };
    };
    const chosen = [create(session("b", { userId: "u" })), rename("a", "b"), destroyByUser("u")];
    await expect(explore(scenario(...chosen), start)).resolves.toEqual({ schedules: 6, complete: true });
  });
});

test("race finds what no order explains", async () => {
  const backend = new SimulatedBackend("raced", { backends: new Map(), now: () => 1_700_000_000_000 });
  class ForgetfulStore extends SimulatedStore {
    override async touch(): Promise<boolean> {
      return true;
    }
  }
  const stores = [new ForgetfulStore(backend, kinds.swept)] as const;
  const chosen = [touch("a", { idleMs: hour }), get("a")];
  await expect(race(scenario(...chosen), stores, async () => undefined)).rejects.toThrow(/touch a -> true/);
});
