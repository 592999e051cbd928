import type { StoreCallOptions } from "../contract/call.js";
import { asSessionError } from "../contract/errors.js";
import type { ScanOptions, SessionChange, SessionRecord, SessionStore } from "../contract/store.js";
import { assertCall, maxDurationMs } from "../contract/validate.js";
import type { Call, Read, StoreDriver, Write, WriteOutcome } from "./driver.js";
import { DriverStore, guardMark } from "./driver-store.js";

/** Whether a store guards itself: one made of a driver, or a decorator of one. */
export function isGuarded(store: SessionStore): boolean {
  return Reflect.get(store, guardMark) === store;
}

/** Returns a store that guards itself: the given one, or a foreign implementation behind the same guard as every driver. */
export function guardStore(store: SessionStore): SessionStore {
  return isGuarded(store) ? store : new GuardedStore(store);
}

/** A foreign `SessionStore` behind the guard. */
class GuardedStore extends DriverStore {
  readonly #store: SessionStore;

  constructor(store: SessionStore) {
    super(foreignDriver(store));
    this.#store = store;
  }

  /** One deadline for each record: the store's own walk takes as long as it has sessions. */
  override async *scan(
    options: ScanOptions = {},
    call?: StoreCallOptions,
  ): AsyncGenerator<SessionRecord, void, undefined> {
    const records = this.#store.scan(options)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { done, value } = await this.run("scan", () => records.next(), call);
        if (done) return;
        yield value;
      }
    } finally {
      // An aborted walk does not wait for the store's step under way.
      const ended = Promise.resolve(records.return?.()).catch(ignore);
      if (call?.signal?.aborted !== true) await this.run("scan", () => ended, call).catch(ignore);
    }
  }

  /** Without a deadline: one call of a foreign store removes any number of sessions, and bounds each of its own steps. */
  override async clear(call?: StoreCallOptions): Promise<void> {
    if (call !== undefined) assertCall(call);
    await this.run("clear", () => this.#store.clear(), { ...call, timeoutMs: maxDurationMs });
  }
}

function foreignDriver(store: SessionStore): StoreDriver {
  const { capabilities, peek, onEvicted } = store;
  return {
    name: "@sojourn/core",
    capabilities,
    create: (session, limit, call) => store.create(session, { limit }, bounds(call)),
    read: (id, call) => store.get(id, {}, bounds(call)),
    write: (write, call) => writeTo(store, write, bounds(call)),
    touch: ({ id, idleMs, shorten }, call) => store.touch(id, { idleMs, shorten }, bounds(call)),
    destroy: (id, call) => store.destroy(id, bounds(call)),
    listByUser: async (userId, call) => {
      const corrupt: Read[] = [];
      const records = await store.listByUser(userId, { onCorrupt: (error) => corrupt.push(error) }, bounds(call));
      return [...corrupt, ...records];
    },
    destroyByUser: (userId, except, call) => store.destroyByUser(userId, { except }, bounds(call)),
    sweep: (limit, call) => store.sweep({ limit }, bounds(call)),
    ...(capabilities.count && { count: (call: Call) => store.count(bounds(call)) }),
    clear: () => undefined,
    close: () => store.close(),
    classify: (error, { operation }) => asSessionError(error, `@sojourn/core: ${operation} failed in the store`),
    ...(peek && { peek: (id: string) => peek.call(store, id) }),
    ...(onEvicted && { onEvicted: (listener: Parameters<typeof onEvicted>[0]) => onEvicted.call(store, listener) }),
  };
}

async function writeTo(
  store: SessionStore,
  { id, newId, payload, userId, idleMs, absoluteMs, expectedVersion, limit }: Write,
  call: StoreCallOptions,
): Promise<WriteOutcome> {
  const change: SessionChange = {
    ...(payload !== undefined && { payload }),
    ...(userId !== undefined && { userId }),
    ...(idleMs !== undefined && { idleMs }),
  };
  const options = { expectedVersion, limit };
  if (newId === undefined) {
    const result = await store.update(id, change, options, call);
    return result.status === "updated" ? { ...result, status: "written" } : result;
  }
  const renaming = absoluteMs === undefined ? change : { ...change, absoluteMs };
  const result = await store.rename(id, newId, renaming, options, call);
  return result.status === "renamed" ? { ...result, status: "written" } : result;
}

/** The deadline alone. The guard answers an abort itself, and an `AbortController` for each call would cost more than a read. */
function bounds({ deadline }: Call): StoreCallOptions {
  return { deadline };
}

function ignore(): void {}
