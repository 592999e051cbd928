import {
  type Batch,
  type Call,
  SessionError,
  type SessionRecord,
  type StoreCapabilities,
  type StoreDriver,
  type Touch,
  type Write,
} from "../src/adapter/index.js";

/** A command that the driver was given. */
export interface Sent {
  readonly verb: string;
  readonly ids: readonly string[];
  readonly call: Call;
  answer(value: unknown): void;
  fail(error: unknown): void;
}

const capabilities: StoreCapabilities = {
  expiryPrecisionMs: 1,
  expiry: "sweep",
  clock: "server",
  scan: true,
  count: true,
  userIndex: "atomic",
  limit: "atomic",
  clear: "enumerate",
  maxPayloadBytes: 1_024,
};

/** A driver whose commands stay unanswered until the test answers them. */
export class PendingDriver implements StoreDriver {
  readonly name = "@sojourn/pending";
  readonly capabilities = capabilities;
  readonly timeoutMs: number;
  readonly batches: StoreDriver["batches"];
  readonly sent: Sent[] = [];
  /** Whether batches wait for a connection: `lend` lets them go on. */
  withholds = false;
  readonly #waiting: (() => void)[] = [];

  constructor(timeoutMs = 60, batches?: StoreDriver["batches"]) {
    this.timeoutMs = timeoutMs;
    this.batches = batches;
  }

  /** Lends a connection to everyone who waits for one. */
  lend(): void {
    this.withholds = false;
    for (const go of this.#waiting.splice(0)) go();
  }

  create(session: { id: string }, _limit: unknown, call: Call): Promise<never> {
    return this.#hold("create", [session.id], call);
  }
  read(id: string, call: Call): Promise<SessionRecord | undefined> {
    return this.#hold("read", [id], call);
  }
  readMany(batch: Batch<string>, call: Call): Promise<never> {
    return this.#holdBatch("readMany", batch, call, (id) => id);
  }
  write(write: Write, call: Call): Promise<never> {
    return this.#hold(write.newId === undefined ? "write" : "rename", [write.id], call);
  }
  writeMany(batch: Batch<Write>, call: Call): Promise<never> {
    return this.#holdBatch("writeMany", batch, call, ({ id }) => id);
  }
  touch({ id }: Touch, call: Call): Promise<never> {
    return this.#hold("touch", [id], call);
  }
  touchMany(batch: Batch<Touch>, call: Call): Promise<never> {
    return this.#holdBatch("touchMany", batch, call, ({ id }) => id);
  }
  destroy(id: string, call: Call): Promise<never> {
    return this.#hold("destroy", [id], call);
  }
  listByUser(userId: string, call: Call): Promise<never> {
    return this.#hold("listByUser", [userId], call);
  }
  destroyByUser(userId: string, _except: unknown, call: Call): Promise<never> {
    return this.#hold("destroyByUser", [userId], call);
  }
  scan(from: unknown, _size: number, call: Call): Promise<never> {
    return this.#hold("scan", [String(from)], call);
  }
  count(call: Call): Promise<never> {
    return this.#hold("count", [], call);
  }
  clear(from: unknown, call: Call): Promise<never> {
    return this.#hold("clear", [String(from)], call);
  }
  close(): void {}
  classify(cause: unknown, { operation, sent }: { operation: string; sent: boolean }): SessionError {
    return new SessionError("BACKEND", `pending: ${operation}`, { cause, outcomeUnknown: sent && cause === "lost" });
  }

  #hold(verb: string, ids: readonly string[], call: Call): Promise<never> {
    if (!this.withholds) return this.#unanswered(verb, ids, call);
    return this.#connection(call).then(() => this.#unanswered(verb, ids, call));
  }

  async #holdBatch<Item>(verb: string, batch: Batch<Item>, call: Call, idOf: (item: Item) => string): Promise<never> {
    if (this.withholds) await this.#connection(call);
    const ids = batch.take().map(idOf);
    return this.#unanswered(verb, ids, call);
  }

  /** Waits until a connection is lent. A call that is over by then never goes on. */
  async #connection(call: Call): Promise<void> {
    call.sent = false;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (call.over) await new Promise(() => {});
    call.sent = true;
  }

  #unanswered(verb: string, ids: readonly string[], call: Call): Promise<never> {
    return new Promise((resolve, reject) => {
      this.sent.push({ verb, ids, call, answer: (value) => resolve(value as never), fail: reject });
    });
  }
}
