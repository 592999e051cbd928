import type {
  Answer,
  Call,
  CreateResult,
  EndedSession,
  ErrorContext,
  NewSession,
  Page,
  Read,
  SessionCounts,
  SessionError,
  SessionLimit,
  SessionRecord,
  StoreCapabilities,
  StoreDriver,
  Touch,
  Write,
  WriteOutcome,
} from "@sojourn/core/adapter";
import type { Connection } from "./connection.js";
import { classify, isWrongType } from "./errors.js";
import type { Keyspace } from "./keys.js";
import { isTombstone, readRecord, tryReadRecord } from "./record.js";
import { asBuffer } from "./reply.js";
import { type WalkPosition, walk } from "./walk.js";

/** The capabilities of both drivers. Redis holds 512 MiB in a string; a script needs room for copies of it. */
export const commonCapabilities: Omit<StoreCapabilities, "userIndex" | "limit"> = {
  expiryPrecisionMs: 25,
  expiry: "native",
  clock: "server",
  scan: true,
  count: true,
  clear: "enumerate",
  maxPayloadBytes: 32 * 1_024 * 1_024,
};

/** The part that is the same on one node and on a Cluster: a session is read by one plain GET. */
export abstract class RedisDriver implements StoreDriver {
  readonly name = "@sojourn/redis";
  abstract readonly capabilities: StoreCapabilities;
  readonly timeoutMs: number;
  protected readonly connection: Connection;
  protected readonly keys: Keyspace;

  constructor(connection: Connection, keys: Keyspace, timeoutMs: number) {
    this.connection = connection;
    this.keys = keys;
    this.timeoutMs = timeoutMs;
  }

  abstract create(session: NewSession, limit: SessionLimit | undefined, call: Call): Answer<CreateResult>;
  abstract write(write: Write, call: Call): Answer<WriteOutcome>;
  abstract touch(touch: Touch, call: Call): Answer<boolean>;
  abstract destroy(id: string, call: Call): Answer<EndedSession | undefined>;
  abstract listByUser(userId: string, call: Call): Answer<readonly Read[]>;
  abstract destroyByUser(userId: string, except: string | undefined, call: Call): Answer<string[]>;
  abstract count(call: Call): Answer<SessionCounts>;
  abstract clear(from: unknown, call: Call): Answer<unknown>;

  async read(id: string, call: Call): Promise<SessionRecord | undefined> {
    const reading = this.connection.query(call, "GET", this.sessionKey(id));
    const asking = this.connection.clockKnown(call);
    if (asking !== undefined) await Promise.all([reading, asking]);
    const value = await reading;
    return value === null ? undefined : this.found(id, asBuffer(value), call);
  }

  async scan(from: unknown, size: number, call: Call): Promise<Page> {
    const { sessionPrefix, sessionPattern } = this.keys;
    const prefixBytes = Buffer.byteLength(sessionPrefix);
    // The guard hands back the position of the step before.
    const { keys, next } = await walk(this.connection, call, sessionPattern, size, from as WalkPosition | undefined);
    const [now, values] = await Promise.all([this.connection.now(call), this.readAll(keys, call)]);
    const records = keys.flatMap((key, n): Read[] => {
      const value = values[n];
      return value && !isTombstone(value) ? [tryReadRecord(key.toString("utf8", prefixBytes), value, now)] : [];
    });
    return { records, next };
  }

  close(): Promise<void> {
    return this.connection.close();
  }

  classify(error: unknown, context: ErrorContext): SessionError {
    return classify(error, context);
  }

  /** Turns the value of a key into the session that reads under it. */
  protected found(id: string, value: Buffer, _call: Call): Answer<SessionRecord | undefined> {
    return isTombstone(value) ? undefined : readRecord(id, value, this.connection.clock.earliest());
  }

  /** Reads several keys. */
  protected abstract readAll(keys: readonly (string | Buffer)[], call: Call): Promise<(Buffer | undefined)[]>;

  /** Reads a key, or its first bytes. A key of another type reads as the empty text, which is a corrupt record. */
  protected async readKey(key: string | Buffer, call: Call): Promise<Buffer | undefined> {
    try {
      const value = await this.connection.query(call, "GET", key);
      return value === null ? undefined : asBuffer(value);
    } catch (error) {
      if (isWrongType(error)) return Buffer.alloc(0);
      throw error;
    }
  }

  /** As {@link RedisDriver.readKey}, but the first bytes only. */
  protected async readHead(key: string | Buffer, bytes: number, call: Call): Promise<Buffer | undefined> {
    try {
      const head = asBuffer(await this.connection.query(call, "GETRANGE", key, 0, bytes - 1));
      return head.length === 0 ? undefined : head;
    } catch (error) {
      if (isWrongType(error)) return Buffer.alloc(0);
      throw error;
    }
  }

  protected sessionKey(id: string): string {
    return this.keys.sessionPrefix + id;
  }

  protected userKey(userId: string): string {
    return this.keys.userPrefix + userId;
  }
}
