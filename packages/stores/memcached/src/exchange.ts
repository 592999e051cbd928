import { type Call, isSessionError, SessionError } from "@sojourn/core/adapter";
import { classify } from "./errors.js";

/** A request. Only its first outcome counts. */
interface OpenRequest {
  fail(error: unknown): void;
}

/** The requests of one operation. They end with it, at its deadline at the latest. */
export class Exchange {
  readonly #call: Call | undefined;
  /** Also those that were answered: they take no second outcome. */
  readonly #requests: OpenRequest[] = [];
  /** Whether a request was sent that changes something. */
  hasWritten = false;
  /** Whether the write that decides has been made: whatever fails from here on, the operation may have succeeded. */
  hasDecided = false;

  /**
   * @param call - `undefined` for requests that several operations wait for
   * @param onOver - called when the operation ends before its answer
   */
  constructor(call: Call | undefined, onOver: () => void = () => {}) {
    this.#call = call;
    if (call === undefined) return;
    call.sent = false;
    const end = (): void => {
      for (const request of this.#requests) request.fail(operationOver);
      onOver();
    };
    // Not a literal: V8 would allocate that in the old generation, with everything that it refers to.
    call.onOver = end;
  }

  /** Whether nothing must be sent any more. A process that was paused past the deadline finds out here, before its timer. */
  get isOver(): boolean {
    return this.#call !== undefined && (this.#call.over || performance.now() >= this.#call.deadline);
  }

  /** The milliseconds until the deadline. */
  get remainingMs(): number {
    return this.#call === undefined ? Number.POSITIVE_INFINITY : this.#call.deadline - performance.now();
  }

  add(request: OpenRequest): void {
    if (this.#call !== undefined) this.#requests.push(request);
  }

  /** Turns an error of the operation into a `SessionError` that says whether something may have changed. */
  explain(error: unknown): SessionError {
    const { operation = "", sent = true } = this.#call ?? {};
    if (error === operationOver) {
      const message = `@sojourn/memcached: ${operation}: the time was up`;
      return new SessionError(sent ? "TIMEOUT" : "UNAVAILABLE", message, { outcomeUnknown: sent });
    }
    if (!isSessionError(error)) return classify(error, { operation, sent: this.hasWritten });
    const isOutage = error.code === "UNAVAILABLE" || error.code === "BACKEND" || error.code === "TIMEOUT";
    if (isOutage ? !this.hasWritten : !this.hasDecided) return error;
    return new SessionError(error.code, error.message, { cause: error, outcomeUnknown: true });
  }

  /** Notes that a request is about to be sent. */
  sending(isRead: boolean): void {
    if (this.#call !== undefined) this.#call.sent = true;
    if (!isRead) this.hasWritten = true;
  }
}

/** Ends the driver's work on an operation whose caller has been answered, or is about to be. */
export const operationOver: Error = new Error("the operation is over");
