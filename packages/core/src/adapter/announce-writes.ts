import type { SessionBus } from "../contract/bus.js";
import { isSessionError } from "../contract/errors.js";
import type { SessionChange, SessionRecord, SessionStore } from "../contract/store.js";
import { decorate } from "./decorate.js";
import { guardStore } from "./guard-store.js";

/**
 * Returns a store that tells the bus of each session that it ends or changes, right after the write. A store that announces by
 * itself (`capabilities.announces`) is returned as it is.
 *
 * A write whose outcome is unknown is told too. When it is applied later than its timeout, or the process ends between write
 * and message, no message follows: copies elsewhere then live until their own limit. A store that announces in the same step
 * as the write has neither hole.
 *
 * @example
 * ```ts
 * import { announceWrites, MemoryBus } from "@sojourn/core";
 * import { MemoryStore } from "@sojourn/memory";
 *
 * const bus = new MemoryBus();
 * const store = announceWrites(new MemoryStore(), bus);
 * bus.subscribe({ message: (message) => console.log(message.kind), state: () => {} });
 * await store.create({ id: "a", payload: "{}", idleMs: 60_000, absoluteMs: 3_600_000 });
 * await store.destroy("a"); // ended
 * await store.close();
 * ```
 */
export function announceWrites(store: SessionStore, bus: SessionBus): SessionStore {
  if (store.capabilities.announces === true) return store;
  const inner = guardStore(store);
  const tell = new Teller(bus);
  inner.onEvicted?.(({ id }) => tell.ended([id]));
  return decorate(inner, {
    capabilities: { ...inner.capabilities, announces: true },
    async create(session, options, call) {
      const result = await inner.create(session, options, call);
      if (result.status === "created") tell.ended(result.evicted);
      return result;
    },
    async update(id, change, options, call) {
      const result = await tell.unknown([id], inner.update(id, change, options, call));
      if (result.status !== "updated") return result;
      tell.ended(result.evicted);
      tell.changed(change, result.record);
      return result;
    },
    async touch(id, options, call) {
      if (options.shorten !== true) return inner.touch(id, options, call);
      const touched = await tell.unknown([id], inner.touch(id, options, call));
      if (touched) bus.publish({ kind: "changed", id });
      return touched;
    },
    async rename(id, newId, change, options, call) {
      const result = await tell.unknown([id, newId], inner.rename(id, newId, change, options, call));
      if (result.status !== "renamed") return result;
      tell.ended(result.evicted);
      bus.publish({ kind: "renamed", id, newId });
      return result;
    },
    async destroy(id, call) {
      const ended = await tell.unknown([id], inner.destroy(id, call));
      if (ended !== undefined) tell.ended([id]);
      return ended;
    },
    async destroyByUser(userId, options, call) {
      const ids = await tell.unknown(undefined, inner.destroyByUser(userId, options, call));
      tell.ended(ids);
      return ids;
    },
    async clear(call) {
      try {
        await inner.clear(call);
      } finally {
        // It may have ended some before it failed.
        bus.publish({ kind: "cleared" });
      }
    },
  });
}

class Teller {
  readonly #bus: SessionBus;

  constructor(bus: SessionBus) {
    this.#bus = bus;
  }

  ended(ids: readonly string[]): void {
    if (ids.length > 0) this.#bus.publish({ kind: "ended", ids });
  }

  changed({ payload, userId, idleMs }: SessionChange, { id, version }: SessionRecord): void {
    // A deadline alone changes under the same version.
    if (payload !== undefined || userId !== undefined) this.#bus.publish({ kind: "changed", id, version });
    else if (idleMs !== undefined) this.#bus.publish({ kind: "changed", id });
  }

  /** Settles as `write` does. If its outcome is unknown, tells that these sessions, or any, may have changed. */
  async unknown<Result>(ids: readonly string[] | undefined, write: Promise<Result>): Promise<Result> {
    try {
      return await write;
    } catch (error) {
      if (isSessionError(error) && error.outcomeUnknown) {
        if (ids === undefined) this.#bus.publish({ kind: "cleared" });
        for (const id of ids ?? []) this.#bus.publish({ kind: "changed", id });
      }
      throw error;
    }
  }
}
