import { isSessionError, type SessionError } from "../contract/errors.js";
import type { Batch, BatchLimits, Call } from "./driver.js";
import type { AnyOperation, Carrier } from "./operation.js";

interface GathererOptions<Item> extends BatchLimits {
  /** Flushes on `nextTick` also while requests are under way: for a backend that takes one command a request. */
  readonly isEager: boolean;
  /** Whether `sendMany` answers for every command. Otherwise a command without an answer is sent again, alone. */
  readonly isComplete: boolean;
  /** Sends one command by itself, and settles its operation. */
  sendOne(operation: AnyOperation): void;
  sendMany(batch: OperationBatch<Item>): Promise<ReadonlyMap<string, unknown>>;
  classify(call: Call, error: unknown): SessionError;
}

/**
 * Collects the commands of one tick, so that they travel as one request. A command that is alone is sent by itself.
 *
 * Idle: flush on `nextTick`. While a request is under way: flush on `setImmediate`, because a server receives each of its
 * own requests in a tick of its own, and many of them in one turn of the event loop.
 */
export class Gatherer<Item> {
  readonly #options: GathererOptions<Item>;
  #waiting: AnyOperation[] = [];
  #inFlight = 0;
  /** Commands sent again alone. They do not count as requests: they may wait for a lock, and others must not wait with them. */
  #alone = 0;
  #isScheduled = false;

  constructor(options: GathererOptions<Item>) {
    this.#options = options;
  }

  add(operation: AnyOperation): void {
    operation.sent = false;
    this.#waiting.push(operation);
    const isIdle = this.#options.isEager || this.#inFlight + this.#alone === 0;
    this.#schedule(isIdle ? process.nextTick : setImmediate);
  }

  #schedule(defer: (flush: () => void) => void): void {
    if (this.#isScheduled || this.#inFlight >= this.#options.inFlight) return;
    this.#isScheduled = true;
    defer(this.#flush);
  }

  readonly #flush = (): void => {
    this.#isScheduled = false;
    while (this.#waiting.length > 0 && this.#inFlight < this.#options.inFlight) this.#send(this.#nextBatch());
  };

  /** Takes the commands that have waited longest, of `max` different sessions. */
  #nextBatch(): OperationBatch<Item> {
    const batch = new OperationBatch<Item>(this.#ended);
    let length = 0;
    for (const operation of this.#waiting) {
      if (batch.size === this.#options.max && !batch.has(operation)) break;
      length += 1;
      if (!operation.over) batch.add(operation);
    }
    // All of them, as a rule: no copy then.
    this.#waiting = length === this.#waiting.length ? [] : this.#waiting.slice(length);
    return batch;
  }

  #send(batch: OperationBatch<Item>): void {
    const { only } = batch;
    if (batch.over) return;
    if (only !== undefined && !this.#options.isComplete && this.#inFlight === 0) {
      this.#sendAlone(only);
      return;
    }
    this.#inFlight += 1;
    if (only !== undefined && this.#options.isComplete) {
      only.sent = true;
      this.#options.sendOne(only);
      return;
    }
    this.#sendMany(batch).then(
      (answers) => {
        batch.answered();
        for (const operation of batch.members) this.#settle(operation, answers);
      },
      (error: unknown) => {
        batch.answered();
        this.#fail(batch, this.#options.classify(batch, error));
      },
    );
  }

  async #sendMany(batch: OperationBatch<Item>): Promise<ReadonlyMap<string, unknown>> {
    return this.#options.sendMany(batch);
  }

  #settle(operation: AnyOperation, answers: ReadonlyMap<string, unknown>): void {
    if (operation.over) return;
    const answer = answers.get(keyOf(operation));
    if (isSessionError(answer)) operation.fail(answer);
    else if (answer !== undefined || this.#options.isComplete) operation.settle(answer);
    else this.#sendAlone(operation);
  }

  /** A write that was certainly not made is sent again alone: the fault may be its neighbour's. */
  #fail(batch: OperationBatch<Item>, error: SessionError): void {
    const isRefused = !error.outcomeUnknown && (error.code === "BACKEND" || error.code === "TIMEOUT");
    for (const operation of batch.members) {
      if (operation.over) continue;
      if (isRefused && !this.#options.isComplete) this.#sendAlone(operation);
      else operation.fail(error);
    }
  }

  #sendAlone(operation: AnyOperation): void {
    this.#alone += 1;
    operation.carrier = this.#aloneCarrier;
    operation.sent = true;
    this.#options.sendOne(operation);
  }

  readonly #aloneCarrier: Carrier = {
    memberEnded: () => {
      this.#alone -= 1;
    },
  };

  readonly #ended = (): void => {
    this.#inFlight -= 1;
    if (this.#waiting.length > 0) this.#schedule(process.nextTick);
  };
}

/**
 * One request for several operations.
 *
 * It binds its members when it is sent: a member that ended before is never sent. Each member keeps its own timer and signal,
 * and the request is over when its last member is.
 */
export class OperationBatch<Item> implements Batch<Item>, Call, Carrier {
  readonly members: AnyOperation[] = [];
  onOver: (() => void) | undefined = undefined;
  readonly #ids = new Set<string>();
  readonly #onEnded: () => void;
  #controller: AbortController | undefined;
  /** Members that have not ended. */
  #pending = 0;
  #isSent = false;
  #isAnswered = false;

  /** @param onEnded - called once, when the driver has answered or the last member has ended */
  constructor(onEnded: () => void) {
    this.#onEnded = onEnded;
  }

  /** Whether every member has ended. */
  get over(): boolean {
    return this.#pending === 0;
  }

  /** As of each member. A driver that waits after {@link OperationBatch.take} may set it to false again. */
  get sent(): boolean {
    return this.#isSent;
  }
  set sent(isSent: boolean) {
    this.#isSent = isSent;
    for (const member of this.members) if (!member.over) member.sent = isSent;
  }

  /** As of each member. */
  get reason(): unknown {
    return this.members[0]?.reason;
  }
  set reason(reason: unknown) {
    for (const member of this.members) member.reason = reason;
  }

  /** The number of sessions: several reads of one session count once. */
  get size(): number {
    return this.#ids.size;
  }

  get operation(): string {
    return this.members[0]?.operation ?? "";
  }

  get deadline(): number {
    return this.members.reduce((latest, { over, deadline }) => (over ? latest : Math.max(latest, deadline)), 0);
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  /** The member, if there is one only. */
  get only(): AnyOperation | undefined {
    return this.members.length === 1 ? this.members[0] : undefined;
  }

  has(operation: AnyOperation): boolean {
    return this.#ids.has(keyOf(operation));
  }

  add(operation: AnyOperation): void {
    this.#ids.add(keyOf(operation));
    this.members.push(operation);
    operation.carrier = this;
    this.#pending += 1;
  }

  take(): readonly Item[] {
    this.sent = true;
    const wanted = this.members.filter(({ over }) => !over);
    if (this.#ids.size === this.members.length) return wanted.map(({ item }) => item);
    return [...new Map(wanted.map((operation) => [keyOf(operation), operation.item])).values()];
  }

  /** The driver has answered. Members that go on alone do not concern it any more. */
  answered(): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    this.onOver = undefined;
    for (const member of this.members) member.carrier = undefined;
    this.#onEnded();
  }

  memberEnded(): void {
    this.#pending -= 1;
    if (this.#pending > 0) return;
    this.#isAnswered = true;
    const { onOver } = this;
    this.onOver = undefined;
    onOver?.();
    this.#controller?.abort();
    this.#onEnded();
  }
}

/** Returns the id of the session that a command is about. */
function keyOf({ item }: AnyOperation): string {
  return typeof item === "string" ? item : item.id;
}
