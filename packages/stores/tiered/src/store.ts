import {
  announceWrites,
  assertCall,
  type BusMessage,
  type BusState,
  type CreateOptions,
  type CreateResult,
  type DestroyByUserOptions,
  type EndedSession,
  guardStore,
  isSessionError,
  type NewSession,
  type ReadOptions,
  type RenameOptions,
  type RenameResult,
  type SessionChange,
  type SessionRecord,
  type SessionRename,
  type StoreCallOptions,
  StoreDecorator,
  type TouchOptions,
  type UpdateOptions,
  type UpdateResult,
} from "@sojourn/core/adapter";
import { Copies, type Fill } from "./copies.js";
import { resolveOptions, type TieredStoreOptions } from "./options.js";
import type { TierStatistics } from "./statistics.js";

/** The sessions to read ahead: those of a user, or those of these ids. */
export type WarmInput = { readonly userId: string } | { readonly ids: Iterable<string> };

/** How many sessions a warm-up reads at a time. */
const warmBatch = 500;

/**
 * Copies of sessions in the memory of this process, in front of another store.
 *
 * A read is answered by its copy, without a request. Every write goes to the store. A copy is dropped by this process' own
 * writes, by messages of the bus, and by its age. See the page "Two tiers" of the documentation for what may be stale.
 *
 * @example
 * ```ts
 * import { MemoryBus, SessionManager } from "@sojourn/core";
 * import { MemoryStore } from "@sojourn/memory";
 * import { TieredStore } from "@sojourn/tiered";
 *
 * const store = new TieredStore({ l2: new MemoryStore(), bus: new MemoryBus(), maxStale: "10s" });
 * const manager = new SessionManager({ store });
 * const { token } = await manager.create({ data: {} });
 * await manager.get(token);
 * console.log(store.statistics().l1Hits); // 1
 * ```
 */
export class TieredStore extends StoreDecorator {
  /** Returns the copy of a session at once; `undefined` when there is none that may be used. */
  override readonly peek: (id: string) => SessionRecord | undefined = (id) => {
    const copy = this.#copies.find(id);
    if (copy !== undefined) this.#l1Hits++;
    return copy;
  };

  readonly #copies: Copies;
  readonly #unsubscribe: (() => void) | undefined;
  #l1Hits = 0;
  #l2Hits = 0;
  #misses = 0;
  #gaps = 0;
  #isConnected: boolean;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: TieredStoreOptions) {
    const { l2, bus, ...limits } = resolveOptions(options);
    const guarded = guardStore(l2);
    super(bus === undefined ? guarded : announceWrites(guarded, bus));
    this.#isConnected = bus === undefined;
    this.#copies = new Copies({ ...limits, isOn: this.#isConnected });
    guarded.onEvicted?.(({ id }) => this.#copies.drop(id));
    this.#unsubscribe = bus?.subscribe({
      message: (message) => this.#heard(message),
      state: (state) => this.#turned(state),
    });
  }

  override create(session: NewSession, options?: CreateOptions, call?: StoreCallOptions): Promise<CreateResult> {
    const { id } = session;
    return this.#write([id], async (fill) => {
      const result = await this.store.create(session, options, call);
      if (result.status === "created") this.#took(fill, result);
      return result;
    });
  }

  /** Answers by a copy, unless `fresh` is set. Reads of one session without bounds of their own share a request. */
  override async get(id: string, options?: ReadOptions, call?: StoreCallOptions): Promise<SessionRecord | undefined> {
    const isFresh = options?.fresh === true;
    const copy = isFresh || !isOpen(call) ? undefined : this.peek(id);
    if (copy !== undefined) return copy;
    const joined = isFresh || call !== undefined ? undefined : this.#copies.join(id);
    const record = await (joined ?? this.#read(id, options, call));
    if (record === undefined) this.#misses++;
    else this.#l2Hits++;
    return record;
  }

  override update(
    id: string,
    change: SessionChange,
    options?: UpdateOptions,
    call?: StoreCallOptions,
  ): Promise<UpdateResult> {
    return this.#write([id], async (fill) => {
      const result = await this.store.update(id, change, options, call);
      if (result.status === "updated") this.#took(fill, result);
      else if (result.status === "conflict") this.#copies.answered(fill, result.current);
      else if (result.status === "missing") this.#copies.drop(id);
      return result;
    });
  }

  /** Drops the copy: its deadline has moved. */
  override touch(id: string, options: TouchOptions, call?: StoreCallOptions): Promise<boolean> {
    return this.#end(id, this.store.touch(id, options, call));
  }

  override rename(
    id: string,
    newId: string,
    change?: SessionRename,
    options?: RenameOptions,
    call?: StoreCallOptions,
  ): Promise<RenameResult> {
    return this.#write([newId, id], async (fill) => {
      const result = await this.store.rename(id, newId, change, options, call);
      this.#copies.drop(id);
      if (result.status === "renamed") this.#took(fill, result);
      return result;
    });
  }

  override destroy(id: string, call?: StoreCallOptions): Promise<EndedSession | undefined> {
    return this.#end(id, this.store.destroy(id, call));
  }

  override async destroyByUser(
    userId: string,
    options?: DestroyByUserOptions,
    call?: StoreCallOptions,
  ): Promise<string[]> {
    try {
      const ids = await this.store.destroyByUser(userId, options, call);
      for (const id of ids) this.#copies.drop(id);
      return ids;
    } catch (error) {
      if (isOutcomeUnknown(error)) this.#copies.barUser(userId);
      throw error;
    }
  }

  override async clear(call?: StoreCallOptions): Promise<void> {
    try {
      await this.store.clear(call);
    } finally {
      this.#copies.flush();
    }
  }

  /**
   * Reads sessions before they are asked for: those of a user, or those of these ids. An unreadable one is left out.
   *
   * @returns how many there are
   * @example
   * ```ts continued
   * console.log(await store.warm({ userId: "42" }));
   * await manager.close();
   * ```
   */
  async warm(input: WarmInput, call?: StoreCallOptions): Promise<number> {
    const ids = "ids" in input ? [...input.ids] : (await this.listByUser(input.userId, {}, call)).map(({ id }) => id);
    let found = 0;
    for (let from = 0; from < ids.length; from += warmBatch) {
      const reads = ids.slice(from, from + warmBatch).map((id) => this.#read(id, {}, call).catch(leaveOutCorrupt));
      for (const record of await Promise.all(reads)) if (record !== undefined) found++;
    }
    return found;
  }

  /** Returns the counts of this process' copies. */
  statistics(): TierStatistics {
    const reads = Math.max(1, this.#l1Hits + this.#l2Hits + this.#misses);
    return {
      l1Hits: this.#l1Hits,
      l2Hits: this.#l2Hits,
      misses: this.#misses,
      l1HitRate: this.#l1Hits / reads,
      l2HitRate: this.#l2Hits / reads,
      missRate: this.#misses / reads,
      ...this.#copies.counts,
      gaps: this.#gaps,
      entries: this.#copies.size,
      bytes: this.#copies.bytes,
      connected: this.#isConnected,
    };
  }

  /** Closes the store behind it. The bus stays open. */
  override close(): Promise<void> {
    this.#unsubscribe?.();
    this.#turned("down");
    return this.store.close();
  }

  async #read(id: string, options?: ReadOptions, call?: StoreCallOptions): Promise<SessionRecord | undefined> {
    const fill = this.#copies.begin(id);
    const answer = this.#answer(fill, this.store.get(id, options, call));
    if (call === undefined) this.#copies.share(fill, answer);
    return answer;
  }

  async #answer(fill: Fill, reading: Promise<SessionRecord | undefined>): Promise<SessionRecord | undefined> {
    try {
      const record = await reading;
      if (record === undefined) this.#copies.drop(fill.id);
      else this.#copies.answered(fill, record);
      return record;
    } finally {
      this.#copies.end(fill);
    }
  }

  /** Runs a write whose record may become a copy under the first of these ids. */
  async #write<Result>(ids: readonly [string, ...string[]], run: (fill: Fill) => Promise<Result>): Promise<Result> {
    const fill = this.#copies.begin(ids[0]);
    try {
      return await run(fill);
    } catch (error) {
      if (isOutcomeUnknown(error)) for (const id of ids) this.#copies.bar(id);
      throw error;
    } finally {
      this.#copies.end(fill);
    }
  }

  /** Settles as a write does, after which there is no copy. */
  async #end<Result>(id: string, writing: Promise<Result>): Promise<Result> {
    try {
      return await writing;
    } catch (error) {
      if (isOutcomeUnknown(error)) this.#copies.bar(id);
      throw error;
    } finally {
      this.#copies.drop(id);
    }
  }

  /** Takes what a write has written, and drops what it evicted. */
  #took(
    fill: Fill,
    { record, evicted }: { readonly record: SessionRecord; readonly evicted: readonly string[] },
  ): void {
    for (const id of evicted) this.#copies.drop(id);
    this.#copies.answered(fill, record);
  }

  #heard(message: BusMessage): void {
    switch (message.kind) {
      case "ended":
        for (const id of message.ids) this.#copies.drop(id);
        return;
      case "renamed":
        this.#copies.drop(message.id);
        return;
      case "changed":
        if (message.version === undefined) this.#copies.drop(message.id);
        else this.#copies.seen(message.id, { version: message.version });
        return;
      case "cleared":
        this.#copies.flush();
    }
  }

  #turned(state: BusState): void {
    if (state === "gap") {
      this.#gaps++;
      this.#copies.flush();
      return;
    }
    this.#isConnected = state === "up";
    this.#copies.turn(this.#isConnected);
  }
}

/** Whether a copy may answer a call. The store behind refuses bad bounds, and calls that are over. */
function isOpen(call: StoreCallOptions | undefined): boolean {
  if (call === undefined) return true;
  assertCall(call);
  return call.signal?.aborted !== true && (call.deadline === undefined || performance.now() < call.deadline);
}

function isOutcomeUnknown(error: unknown): boolean {
  return isSessionError(error) && error.outcomeUnknown;
}

function leaveOutCorrupt(error: unknown): undefined {
  if (!isSessionError(error, "CORRUPT")) throw error;
}
