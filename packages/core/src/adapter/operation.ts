import { aborted } from "../contract/abort.js";
import type { StoreCallOptions } from "../contract/call.js";
import { SessionError } from "../contract/errors.js";
import type { Command } from "./commands.js";
import type { Call, StoreDriver } from "./driver.js";

/** A timer takes no more, and fires at once beyond that. */
const maxTimerMs = 2 ** 31 - 1;

/** The part of the guard that an operation reports to. */
export interface OperationOwner {
  readonly driver: StoreDriver;
  /** Called once, when the operation gives back its turn among the commands of its session. */
  leave(operation: AnyOperation): void;
}

/** The request that an operation travels in together with others. */
export interface Carrier {
  /** Called once when a member has ended, for any reason. */
  memberEnded(): void;
}

// The guard's lists hold operations of every command.
// biome-ignore lint/suspicious/noExplicitAny: an operation is settled only with the answer to its own command.
export type AnyOperation = Operation<any, any, any>;

/**
 * One call of a store, from the caller's side and the driver's.
 *
 * It has one timer. The caller is answered by the driver, by the deadline or by the signal. When the signal fires after the
 * command was sent, the operation keeps its connection and its turn until the driver answers or the deadline passes.
 */
export class Operation<Item, Raw, Result> implements Call {
  readonly command: Command<Item, Raw, Result>;
  readonly item: Item;
  readonly deadline: number;
  readonly promise: Promise<Result>;
  sent = true;
  reason: unknown = undefined;
  over = false;
  onOver: (() => void) | undefined = undefined;
  /** The session whose order the operation follows; `undefined` for an operation without order. */
  id: string | undefined = undefined;
  /** The next command of the same session. */
  next: AnyOperation | undefined = undefined;
  /** Whether the operation has its turn among the commands of its session. */
  hasTurn = false;
  carrier: Carrier | undefined = undefined;

  readonly #owner: OperationOwner;
  readonly #timeoutMs: number;
  readonly #timer: NodeJS.Timeout;
  readonly #userSignal: AbortSignal | undefined;
  #controller: AbortController | undefined;
  #isAnswered = false;
  #resolve!: (result: Result) => void;
  #reject!: (error: SessionError) => void;

  constructor(
    owner: OperationOwner,
    command: Command<Item, Raw, Result>,
    item: Item,
    timeoutMs: number,
    { signal, deadline }: StoreCallOptions,
  ) {
    this.#owner = owner;
    this.command = command;
    this.item = item;
    const now = performance.now();
    this.deadline = deadline === undefined ? now + timeoutMs : Math.min(deadline, now + timeoutMs);
    this.#timeoutMs = Math.round(Math.max(0, this.deadline - now));
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#timer = setTimeout(expire, Math.min(this.#timeoutMs, maxTimerMs), this);
    this.#userSignal = signal;
    signal?.addEventListener("abort", this);
  }

  get operation(): string {
    return this.command.operation;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.over) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  settle(raw: Raw): void {
    if (this.over) return;
    this.onOver = undefined;
    if (!this.#isAnswered) this.#answer(raw);
    this.#end();
  }

  /** Rejects with an error of the driver's library, or one of ours. */
  fail(error: SessionError): void {
    if (this.over) return;
    this.onOver = undefined;
    this.#refuse(error);
    this.#end();
  }

  /** Ends the operation at its deadline. */
  expire(): void {
    if (this.over) return;
    this.#refuse(this.sent ? this.#timedOut() : this.#notSent());
    this.#end();
  }

  /** The caller's signal has fired. */
  handleEvent(): void {
    if (this.over || this.#isAnswered) return;
    this.#refuse(aborted(this.#owner.driver.name, this.operation, this.#userSignal, this.sent && this.command.isWrite));
    // A command that was sent keeps its turn: the next one of its session must not overtake it.
    if (!this.sent) this.#end();
  }

  #answer(raw: Raw): void {
    this.#isAnswered = true;
    try {
      this.#resolve(this.command.toResult(raw, this.item));
    } catch (error) {
      // A listener of corrupt records is the application's own code.
      this.#reject(error as SessionError);
    }
  }

  #refuse(error: SessionError): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    const isKnown = this.command.isWrite || !error.outcomeUnknown;
    this.#reject(isKnown ? error : withKnownOutcome(error));
  }

  #end(): void {
    this.over = true;
    clearTimeout(this.#timer);
    this.#userSignal?.removeEventListener("abort", this);
    const { onOver } = this;
    this.onOver = undefined;
    onOver?.();
    this.#controller?.abort();
    this.carrier?.memberEnded();
    if (this.hasTurn) this.#owner.leave(this);
  }

  #notSent(): SessionError {
    const message =
      `${this.#owner.driver.name}: ${this.operation}: nothing was sent within ${this.#timeoutMs} ms, for want of a ` +
      "connection or because earlier commands took that long";
    return new SessionError("UNAVAILABLE", message, this.reason === undefined ? {} : { cause: this.reason });
  }

  #timedOut(): SessionError {
    const { isWrite } = this.command;
    const outcome = isWrite ? "; whether the write was applied is unknown" : "";
    const message = `${this.#owner.driver.name}: ${this.operation} was not answered within ${this.#timeoutMs} ms${outcome}`;
    return new SessionError("TIMEOUT", message, { outcomeUnknown: isWrite });
  }
}

function expire(operation: AnyOperation): void {
  operation.expire();
}

function withKnownOutcome({ code, message, cause }: SessionError): SessionError {
  return new SessionError(code, message, { ...(cause !== undefined && { cause }), outcomeUnknown: false });
}
