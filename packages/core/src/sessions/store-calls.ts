import { KeyedQueue } from "../adapter/keyed-queue.js";
import { throwIfAborted, withAbort } from "../contract/abort.js";
import type { CallOptions } from "../contract/call.js";
import { asSessionError, SessionError, type SessionErrorCode } from "../contract/errors.js";
import type { SessionStore } from "../contract/store.js";
import { withTimeout } from "../contract/timeout.js";
import type { EventHub } from "./events.js";
import type { StatisticsCollector } from "./statistics.js";

/** What a call is about, for the `error` event. */
interface Subject {
  readonly id?: string | undefined;
  readonly userId?: string | undefined;
}

type StoreCall<T> = (store: SessionStore) => Promise<T>;

/** The caller's own doing: answered to the caller alone. */
const callerErrors: ReadonlySet<SessionErrorCode> = new Set(["ABORTED", "CLOSED", "INVALID_ARGUMENT", "NOT_SUPPORTED"]);

/** The one way from a manager to its store: every call is timed, can be aborted, is counted, and fails as a `SessionError`. */
export class StoreCalls {
  readonly #store: SessionStore;
  readonly #timeoutMs: number;
  readonly #events: EventHub;
  readonly #statistics: StatisticsCollector;
  readonly #queue = new KeyedQueue();
  #closed = false;

  constructor(store: SessionStore, timeoutMs: number, events: EventHub, statistics: StatisticsCollector) {
    this.#store = store;
    this.#timeoutMs = timeoutMs;
    this.#events = events;
    this.#statistics = statistics;
  }

  run<T>(operation: string, subject: Subject, call: StoreCall<T>, options?: CallOptions): Promise<T> {
    return this.#run(operation, subject, call, options?.signal, this.#timeoutMs);
  }

  /** As {@link run} without a time limit, for what takes as long as there are sessions: the store limits each round trip. */
  runUnbounded<T>(operation: string, subject: Subject, call: StoreCall<T>, { signal }: CallOptions): Promise<T> {
    return this.#run(operation, subject, call, signal, undefined);
  }

  /**
   * As {@link run}, after the writes of this session that this process began before. One whose turn has not come within
   * the time limit is not sent: behind a write that hangs, the next ones would wait ever longer.
   *
   * @throws SessionError `ABORTED`, at once, when the signal has fired already
   */
  runInOrder<T>(operation: string, id: string, call: StoreCall<T>, options?: CallOptions): Promise<T> {
    const signal = options?.signal;
    throwIfAborted(signal, operation);
    const startedAt = performance.now();
    const turn = this.#queue.run(id, () => {
      throwIfAborted(signal, operation);
      if (performance.now() - startedAt >= this.#timeoutMs) throw notSent(operation, this.#timeoutMs);
      // The signal ends the caller's waiting alone: the next write still waits for this one.
      return this.run(operation, { id }, call);
    });
    return withAbort(turn, signal, operation);
  }

  close(): void {
    this.#closed = true;
  }

  async #run<T>(
    operation: string,
    subject: Subject,
    call: StoreCall<T>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ): Promise<T> {
    if (this.#closed) throw new SessionError("CLOSED", `@sojourn/core: ${operation} on a closed session manager`);
    throwIfAborted(signal, operation);
    const startedAt = performance.now();
    let failed = true;
    try {
      const answer = call(this.#store);
      const timed = timeoutMs === undefined ? answer : withTimeout(answer, timeoutMs, `@sojourn/core: ${operation}`);
      const result = await withAbort(timed, signal, operation);
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

function notSent(operation: string, timeoutMs: number): SessionError {
  const message = `@sojourn/core: ${operation} was not sent within ${timeoutMs} ms: earlier writes of its session took that long`;
  return new SessionError("TIMEOUT", message, { outcomeUnknown: false });
}
