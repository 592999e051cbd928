import { isSessionError, SessionError } from "@sojourn/core/adapter";

export interface WriteBatchOptions<Write, Answer> {
  /** For messages. */
  readonly operation: string;
  /** From the call to its answer, the wait for a turn included. */
  readonly timeoutMs: number;
  /**
   * Writes, in one step that waits for no row, what needs no wait and raises no question; answers by id what it has written.
   */
  readonly writeAll: (writes: readonly Write[], timeoutMs: number) => Promise<ReadonlyMap<string, Answer>>;
  /** Writes one, waits for its row, and knows every answer. */
  readonly writeOne: (write: Write, timeoutMs: number) => Promise<Answer>;
}

interface Pending<Write, Answer> {
  readonly write: Write;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
  readonly deadline: number;
  /** Until it is sent: from there on its statement has what is left of the time. */
  readonly timer: NodeJS.Timeout;
}

/** Two keep the server busy while the next ones gather; more of them are smaller, and cost more. */
const maxInFlight = 2;
const maxWrites = 100;
/** How much of its time, as a share, a write may lose to an older one of its statement. */
const maxLostTime = 1 / 8;

/**
 * Sends the writes of one tick, each to a session of its own, as one statement and one commit; while others are on their way,
 * those of one turn of the event loop, as reads are sent.
 *
 * None holds up or fails its neighbours. The statement skips rows that somebody holds, so it waits for nobody and no two can
 * stand in each other's way; what it has skipped, not found or not been allowed goes its own way afterwards, as each
 * does when the statement fails as a whole. A write on its own goes that way at once.
 */
export class WriteBatch<Write extends { readonly id: string }, Answer> {
  readonly #options: WriteBatchOptions<Write, Answer>;
  #waiting: Pending<Write, Answer>[] = [];
  #inFlight = 0;
  /** Those that go their own way are not counted as in flight: they may wait for their row, and others must not wait with them. */
  #alone = 0;
  #scheduled = false;

  constructor(options: WriteBatchOptions<Write, Answer>) {
    this.#options = options;
  }

  write(write: Write): Promise<Answer> {
    const { timeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      const deadline = performance.now() + timeoutMs;
      const timer = setTimeout(() => this.#giveUp(pending), timeoutMs);
      const pending = { write, resolve, reject, deadline, timer };
      this.#waiting.push(pending);
      this.#schedule(this.#inFlight + this.#alone === 0 ? process.nextTick : setImmediate);
    });
  }

  #schedule(defer: (send: () => void) => void): void {
    if (this.#scheduled || this.#inFlight >= maxInFlight) return;
    this.#scheduled = true;
    defer(this.#sendWaiting);
  }

  readonly #sendWaiting = (): void => {
    this.#scheduled = false;
    const [first, second] = this.#waiting;
    if (first !== undefined && second === undefined && this.#inFlight === 0) {
      this.#waiting = [];
      this.#sendAlone(first);
    }
    while (this.#inFlight < maxInFlight && this.#waiting.length > 0) this.#sendTogether(this.#takeBatch());
  };

  /**
   * What has waited longest and is therefore first bounds them all: who came much later would lose time, and waits for the
   * next statement. Of several writes to one session the later ones do, too.
   */
  #takeBatch(): Pending<Write, Answer>[] {
    const taken = new Map<string, Pending<Write, Answer>>();
    const left: Pending<Write, Answer>[] = [];
    const latest = (this.#waiting[0]?.deadline ?? 0) + this.#options.timeoutMs * maxLostTime;
    for (const pending of this.#waiting) {
      const { id } = pending.write;
      if (taken.has(id) || taken.size === maxWrites || pending.deadline > latest) left.push(pending);
      else taken.set(id, pending);
    }
    this.#waiting = left;
    return [...taken.values()];
  }

  #sendTogether(batch: readonly Pending<Write, Answer>[]): void {
    this.#inFlight += 1;
    for (const { timer } of batch) clearTimeout(timer);
    const deadline = Math.min(...batch.map((pending) => pending.deadline));
    const writes = batch.map(({ write }) => write);
    this.#options.writeAll(writes, remaining(deadline)).then(
      (answers) => {
        this.#answered();
        for (const pending of batch) {
          const answer = answers.get(pending.write.id);
          if (answer === undefined) this.#sendAlone(pending);
          else pending.resolve(answer);
        }
      },
      (error: unknown) => {
        this.#answered();
        for (const pending of batch) {
          if (hasWrittenNothing(error)) this.#sendAlone(pending);
          else pending.reject(error);
        }
      },
    );
  }

  #sendAlone(pending: Pending<Write, Answer>): void {
    clearTimeout(pending.timer);
    this.#alone += 1;
    this.#options.writeOne(pending.write, remaining(pending.deadline)).then(
      (answer) => {
        this.#alone -= 1;
        pending.resolve(answer);
      },
      (error: unknown) => {
        this.#alone -= 1;
        pending.reject(error);
      },
    );
  }

  #answered(): void {
    this.#inFlight -= 1;
    if (this.#waiting.length > 0) this.#schedule(process.nextTick);
  }

  #giveUp(pending: Pending<Write, Answer>): void {
    const { operation, timeoutMs } = this.#options;
    this.#waiting = this.#waiting.filter((other) => other !== pending);
    const message = `@sojourn/postgres: ${operation}: no turn within ${timeoutMs} ms; nothing was sent`;
    pending.reject(new SessionError("UNAVAILABLE", message));
  }
}

function remaining(deadline: number): number {
  return Math.max(1, Math.ceil(deadline - performance.now()));
}

/** The server has refused the statement as a whole, for what may be the matter with one of its writes. */
function hasWrittenNothing(error: unknown): boolean {
  return isSessionError(error) && !error.outcomeUnknown && (error.code === "BACKEND" || error.code === "TIMEOUT");
}
