import {
  type Batch,
  type BatchLimits,
  type Call,
  type CreateResult,
  type EndedSession,
  type ErrorContext,
  KeyedQueue,
  type NewSession,
  type Page,
  type Read,
  type SessionCounts,
  type SessionError,
  type SessionLimit,
  type SessionRecord,
  type StoreCapabilities,
  type StoreDriver,
  type Touch,
  type Write,
  type WriteOutcome,
} from "@sojourn/core/adapter";
import { ProcedureCommands } from "./by-procedure.js";
import { TransactionCommands } from "./by-transaction.js";
import type { Commands } from "./commands.js";
import { Connection } from "./connection.js";
import { classify, lacksProcedure } from "./errors.js";
import type { ResolvedOptions } from "./options.js";
import type { OwnPool } from "./own-pool.js";
import { PacketSize } from "./packet-size.js";
import { maxBatchSize, Reader } from "./reader.js";
import { tryReadRecord } from "./record.js";
import { ensureSchema } from "./schema.js";

const removalBatchSize = 1_000;

/** Sessions in a table of MySQL. Each method is one procedure, or one transaction where the server has no procedures. */
export class MySQLDriver implements StoreDriver {
  readonly name = "@sojourn/mysql";
  readonly capabilities: StoreCapabilities = {
    expiryPrecisionMs: 1,
    expiry: "sweep",
    clock: "server",
    scan: true,
    count: true,
    userIndex: "atomic",
    limit: "atomic",
    clear: "enumerate",
    // The size of a MEDIUMBLOB. The server's max_allowed_packet may be less: see PacketSize.
    maxPayloadBytes: 16_777_215,
  };
  readonly batches: { readonly reads: BatchLimits } = { reads: { max: maxBatchSize, inFlight: 4 } };
  readonly timeoutMs: number;
  /** The pool that the store has opened and `close` ends. */
  ownPool: OwnPool | undefined;
  readonly #options: ResolvedOptions;
  readonly #connection: Connection;
  readonly #reader: Reader;
  readonly #packetSize: PacketSize;
  readonly #transactions: Commands;
  /** Procedures, until they turn out to be missing. */
  #commands: Commands;
  /**
   * Commands that lock the guard of a user wait for each other here, without a connection. Otherwise ten logins of one user
   * whose row is locked take the whole pool.
   */
  readonly #ofUser = new KeyedQueue();

  constructor(options: ResolvedOptions) {
    const { pool, names, timeoutMs, procedures } = options;
    this.timeoutMs = timeoutMs;
    this.#options = options;
    this.#connection = new Connection(pool);
    this.#reader = new Reader(this.#connection, names);
    this.#packetSize = new PacketSize(this.#connection);
    this.#transactions = new TransactionCommands(this.#connection, names);
    this.#commands = procedures === false ? this.#transactions : new ProcedureCommands(this.#connection, names);
  }

  async ensureSchema(call: Call): Promise<void> {
    const hasProcedures = await ensureSchema(this.#connection, this.#options, call);
    this.#commands = hasProcedures ? new ProcedureCommands(this.#connection, this.#options.names) : this.#transactions;
  }

  async create(session: NewSession, limit: SessionLimit | undefined, call: Call): Promise<CreateResult> {
    call.sent = false;
    const payload = await this.#packetSize.encode(session.payload, call);
    const create = (): Promise<CreateResult> => this.#run((commands) => commands.create(session, payload, limit, call));
    return limit === undefined ? create() : this.#inTurn(session.userId, call, create);
  }

  read(id: string, call: Call): Promise<SessionRecord | undefined> {
    return this.#run((commands) => this.#reader.read(id, commands, call));
  }

  readMany(batch: Batch<string>, call: Call): Promise<ReadonlyMap<string, Read>> {
    return this.#run((commands) => this.#reader.readMany(batch, commands, call));
  }

  async write(write: Write, call: Call): Promise<WriteOutcome> {
    const { payload, userId, limit } = write;
    call.sent = false;
    const bytes = payload === undefined ? undefined : await this.#packetSize.encode(payload, call);
    const run = (): Promise<WriteOutcome> => this.#run((commands) => commands.write(write, bytes, call));
    return limit === undefined ? run() : this.#inTurn(userId, call, run);
  }

  touch(touch: Touch, call: Call): Promise<boolean> {
    return this.#run((commands) => commands.touch(touch, call));
  }

  destroy(id: string, call: Call): Promise<EndedSession | undefined> {
    return this.#run((commands) => commands.destroy(id, call));
  }

  async listByUser(userId: string, call: Call): Promise<readonly Read[]> {
    const rows = await this.#run((commands) => commands.listByUser(userId, call));
    return rows.map(tryReadRecord);
  }

  destroyByUser(userId: string, except: string | undefined, call: Call): Promise<string[]> {
    return this.#inTurn(userId, call, () => this.#run((commands) => commands.destroyByUser(userId, except, call)));
  }

  async sweep(limit: number, call: Call): Promise<EndedSession[]> {
    const removed: EndedSession[] = [];
    const halfTime = (performance.now() + call.deadline) / 2;
    while (removed.length < limit && performance.now() < halfTime) {
      const size = Math.min(limit - removed.length, removalBatchSize);
      const batch = await this.#run((commands) => commands.sweep(size, call));
      removed.push(...batch.removed);
      // Fewer than asked for were due, or the rest is locked and left for the next time.
      if (batch.handled < size) break;
    }
    return removed;
  }

  async scan(from: unknown, size: number, call: Call): Promise<Page> {
    // The guard hands back what the step before has returned.
    const rows = await this.#run((commands) => commands.scan((from as number | undefined) ?? 0, size, call));
    return { records: rows.map(tryReadRecord), next: rows.length < size ? undefined : Number(rows.at(-1)?.pk) };
  }

  /** Reads the whole table: not for each request. */
  async count(call: Call): Promise<SessionCounts> {
    const row = await this.#run((commands) => commands.count(call));
    return {
      sessions: Number(row?.sessions),
      sessionsWithUser: Number(row?.sessions_with_user),
      users: Number(row?.users),
    };
  }

  /** Removes a batch of the sessions that existed at the first step. */
  async clear(from: unknown, call: Call): Promise<number | undefined> {
    const upTo = from as number | undefined;
    const batch = await this.#run((commands) => commands.clear(upTo, removalBatchSize, call));
    return batch.removed === removalBatchSize ? batch.upTo : undefined;
  }

  async close(): Promise<void> {
    await this.ownPool?.end(this.timeoutMs);
  }

  classify(error: unknown, context: ErrorContext): SessionError {
    return classify(error, context);
  }

  /** Runs a command by procedures, or from then on by transactions where the server turns out to lack the procedure. */
  async #run<T>(command: (commands: Commands) => Promise<T>): Promise<T> {
    const commands = this.#commands;
    try {
      return await command(commands);
    } catch (error) {
      const isFound = this.#options.procedures !== undefined || commands === this.#transactions;
      if (isFound || !lacksProcedure(error)) throw error;
      this.#commands = this.#transactions;
      return command(this.#transactions);
    }
  }

  /** Runs a command when those of its user before it have ended. */
  #inTurn<T>(userId: string | null | undefined, call: Call, command: () => Promise<T>): Promise<T> {
    if (userId === undefined || userId === null) return command();
    if (this.#ofUser.settled(userId) !== undefined) call.sent = false;
    return this.#ofUser.run(userId, command);
  }
}
