import type { CallOptions, StoreCallOptions } from "../contract/call.js";
import { asSessionError, SessionError, type SessionErrorCode } from "../contract/errors.js";
import type {
  CreateOptions,
  CreateResult,
  DestroyByUserOptions,
  EndedSession,
  NewSession,
  ReadManyOptions,
  ReadOptions,
  RenameOptions,
  RenameResult,
  ScanOptions,
  SessionChange,
  SessionCounts,
  SessionRecord,
  SessionRename,
  SessionStore,
  TouchOptions,
  UpdateOptions,
  UpdateResult,
} from "../contract/store.js";
import type { EventHub } from "./events.js";
import type { StatisticsCollector } from "./statistics.js";

/** Errors that the caller causes. They are answered to the caller alone and become no `error` event. */
const callerErrors: ReadonlySet<SessionErrorCode> = new Set(["ABORTED", "CLOSED", "INVALID_ARGUMENT", "NOT_SUPPORTED"]);

/** Names the session or the user of a call, for the `error` event. */
interface Subject {
  readonly id?: string | undefined;
  readonly userId?: string | undefined;
}

/**
 * The calls of a manager to its store: each is counted and timed, and its failure becomes an `error` event.
 *
 * The store guards itself (see `adapter/guard-store.ts`), so there is no timer, queue or check here. Methods throw `CLOSED`
 * synchronously once the manager has been closed.
 */
export class StoreCalls {
  readonly #store: SessionStore;
  readonly #timeoutMs: number | undefined;
  readonly #events: EventHub;
  readonly #statistics: StatisticsCollector;
  #isClosed = false;

  /** @param timeoutMs - for each operation; `undefined` leaves the store its own */
  constructor(store: SessionStore, timeoutMs: number | undefined, events: EventHub, statistics: StatisticsCollector) {
    this.#store = store;
    this.#timeoutMs = timeoutMs;
    this.#events = events;
    this.#statistics = statistics;
  }

  create(session: NewSession, options: CreateOptions, call?: CallOptions): Promise<CreateResult> {
    const answer = this.#open("create").create(session, options, this.#bounds(call));
    return this.#observe("create", { id: session.id }, answer);
  }

  get(id: string, options?: ReadOptions, call?: CallOptions): Promise<SessionRecord | undefined> {
    return this.#observe("get", { id }, this.#open("get").get(id, options, this.#bounds(call)));
  }

  /** Returns the record of a live session that the store holds in this process, without a request. */
  peek(id: string): SessionRecord | undefined {
    return this.#isClosed ? undefined : this.#store.peek?.(id);
  }

  update(id: string, change: SessionChange, options: UpdateOptions, call?: CallOptions): Promise<UpdateResult> {
    return this.#observe("update", { id }, this.#open("update").update(id, change, options, this.#bounds(call)));
  }

  touch(id: string, options: TouchOptions, call?: CallOptions): Promise<boolean> {
    return this.#observe("touch", { id }, this.#open("touch").touch(id, options, this.#bounds(call)));
  }

  rename(
    id: string,
    newId: string,
    change: SessionRename,
    options: RenameOptions,
    call?: CallOptions,
  ): Promise<RenameResult> {
    const answer = this.#open("rename").rename(id, newId, change, options, this.#bounds(call));
    return this.#observe("rename", { id }, answer);
  }

  destroy(id: string, call?: CallOptions): Promise<EndedSession | undefined> {
    return this.#observe("destroy", { id }, this.#open("destroy").destroy(id, this.#bounds(call)));
  }

  /** @param operation - the method of the manager, for events and statistics */
  listByUser(
    userId: string,
    options: ReadManyOptions,
    operation: string,
    call?: CallOptions,
  ): Promise<SessionRecord[]> {
    const answer = this.#open(operation).listByUser(userId, options, this.#bounds(call));
    return this.#observe(operation, { userId }, answer);
  }

  destroyByUser(userId: string, options: DestroyByUserOptions, call?: CallOptions): Promise<string[]> {
    const answer = this.#open("destroyByUser").destroyByUser(userId, options, this.#bounds(call));
    return this.#observe("destroyByUser", { userId }, answer);
  }

  /** Each record counts as one operation. */
  async *scan(options: ScanOptions, call?: CallOptions): AsyncGenerator<SessionRecord, void, undefined> {
    const records = this.#open("scan").scan(options, this.#bounds(call))[Symbol.asyncIterator]();
    try {
      for (;;) {
        this.#open("scan");
        const { done, value } = await this.#observe("scan", {}, records.next());
        if (done) return;
        yield value;
      }
    } finally {
      await records.return?.();
    }
  }

  count(call?: CallOptions): Promise<SessionCounts> {
    return this.#observe("count", {}, this.#open("count").count(this.#bounds(call)));
  }

  clear(call?: CallOptions): Promise<void> {
    return this.#observe("clear", {}, this.#open("clear").clear(this.#bounds(call)));
  }

  close(): void {
    this.#isClosed = true;
  }

  #open(operation: string): SessionStore {
    if (!this.#isClosed) return this.#store;
    throw new SessionError("CLOSED", `@sojourn/core: ${operation} on a closed session manager`);
  }

  #bounds(call: CallOptions | undefined): StoreCallOptions | undefined {
    const { signal, timeoutMs = this.#timeoutMs } = call ?? {};
    if (signal === undefined && timeoutMs === undefined) return undefined;
    return { signal, timeoutMs };
  }

  async #observe<Result>(operation: string, subject: Subject, answer: Promise<Result>): Promise<Result> {
    const startedAt = performance.now();
    let failed = true;
    try {
      const result = await answer;
      failed = false;
      return result;
    } catch (cause) {
      const error = asSessionError(cause, `@sojourn/core: ${operation} failed in the store`);
      if (!callerErrors.has(error.code)) this.#events.emit("error", { error, operation, ...subject });
      throw error;
    } finally {
      this.#statistics.recordOperation(operation, performance.now() - startedAt, failed);
    }
  }
}
