import {
  assertChange,
  assertId,
  assertNewSession,
  assertScan,
  assertSweep,
  assertTouch,
  type CreateOptions,
  type CreateResult,
  type DestroyByUserOptions,
  type EndedSession,
  isSessionError,
  type NewSession,
  ReadBatch,
  type ReadManyOptions,
  type RenameOptions,
  type RenameResult,
  type ScanOptions,
  type SessionChange,
  type SessionCounts,
  SessionError,
  type SessionRecord,
  type SessionStore,
  type StoreCapabilities,
  type SweepOptions,
  type TouchOptions,
  type UpdateOptions,
  type UpdateResult,
} from "@sojourn/core/adapter";
import { isClusterClient } from "./client.js";
import { ClusterProtocol } from "./cluster-protocol.js";
import { asBuffer, Connection } from "./connection.js";
import { warnOfEviction } from "./eviction.js";
import { type Keyspace, keyspace } from "./keys.js";
import { type RedisStoreOptions, resolveOptions } from "./options.js";
import { connect, disconnect, type OwnedClient } from "./owned-client.js";
import type { SessionProtocol } from "./protocol.js";
import { isTombstone, readRecord, readRecords } from "./record.js";
import { SingleSlotProtocol } from "./single-slot-protocol.js";
import { walkKeys } from "./walk.js";

/** Enough for the gain, few enough to keep an answer small. */
const maxIdsPerRead = 100;

/**
 * Sessions in Redis 6.2 or later, or Valkey: on one node, behind Sentinel, or on a Cluster.
 *
 * Redis' own expiry ends sessions, by the server's clock. On one node each operation is one atomic script and one round
 * trip. On a Cluster records and indexes lie on different nodes and change one after the other: `capabilities` says so.
 */
export class RedisStore implements SessionStore {
  readonly capabilities: StoreCapabilities;
  readonly #connection: Connection;
  readonly #keys: Keyspace;
  readonly #protocol: SessionProtocol;
  readonly #reads: ReadBatch<Buffer | null>;
  readonly #timeoutMs: number;
  #owned: OwnedClient | undefined;
  #closed = false;
  #settingsChecked = false;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: RedisStoreOptions) {
    const { client, prefix, timeoutMs, singleSlot } = resolveOptions(options);
    this.#connection = new Connection(client, timeoutMs);
    this.#timeoutMs = timeoutMs;
    this.#keys = keyspace(prefix);
    const spreads = isClusterClient(client) && !singleSlot;
    this.#protocol = new (spreads ? ClusterProtocol : SingleSlotProtocol)(this.#connection, this.#keys);
    this.capabilities = this.#protocol.capabilities;
    // The keys of a Cluster lie on several nodes.
    this.#reads = new ReadBatch({ maxIds: isClusterClient(client) ? 1 : maxIdsPerRead }, (ids) => this.#readMany(ids));
  }

  /**
   * A store with an ioredis client of its own, which `close` closes. It connects at the first operation, and again
   * whenever the connection is lost.
   *
   * @param url - `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS
   * @throws SessionError `INVALID_OPTION`
   */
  static fromUrl(url: string, options: Omit<RedisStoreOptions, "client"> = {}): RedisStore {
    const client = connect(url);
    const store = new RedisStore({ ...options, client });
    store.#owned = client;
    return store;
  }

  async create(session: NewSession, options: CreateOptions = {}): Promise<CreateResult> {
    this.#begin();
    assertNewSession(session, options, this.capabilities);
    return this.#protocol.create(session, options);
  }

  /** Reads asked for in one tick travel as one command, on one node. */
  async get(id: string): Promise<SessionRecord | undefined> {
    this.#begin();
    assertId(id);
    const read = await this.#reads.read(id);
    const value = read === null ? await this.#connection.peek("get", this.#keys.sessionPrefix + id) : read;
    if (value === undefined || isTombstone(value)) return undefined;
    return readRecord(id, value, this.#connection.clock.now());
  }

  async update(id: string, change: SessionChange, options: UpdateOptions = {}): Promise<UpdateResult> {
    this.#begin();
    assertId(id);
    assertChange(change, options, this.capabilities);
    return this.#protocol.update(id, change, options);
  }

  async touch(id: string, options: TouchOptions): Promise<boolean> {
    this.#begin();
    assertTouch(id, options);
    return this.#protocol.touch(id, options);
  }

  async rename(
    id: string,
    newId: string,
    change: SessionChange = {},
    options: RenameOptions = {},
  ): Promise<RenameResult> {
    this.#begin();
    assertId(id);
    assertId(newId, "newId");
    assertChange(change, options, this.capabilities);
    return this.#protocol.rename(id, newId, change, options);
  }

  async destroy(id: string): Promise<EndedSession | undefined> {
    this.#begin();
    assertId(id);
    return this.#protocol.destroy(id);
  }

  async listByUser(userId: string, options: ReadManyOptions = {}): Promise<SessionRecord[]> {
    this.#begin();
    assertId(userId, "userId");
    return this.#protocol.listByUser(userId, options);
  }

  async destroyByUser(userId: string, options: DestroyByUserOptions = {}): Promise<string[]> {
    this.#begin();
    assertId(userId, "userId");
    if (options.except !== undefined) assertId(options.except, "except");
    return this.#protocol.destroyByUser(userId, options);
  }

  /** Always empty: Redis removes what has expired. */
  async sweep(options: SweepOptions): Promise<EndedSession[]> {
    this.#begin();
    assertSweep(options);
    return [];
  }

  async *scan(options: ScanOptions = {}): AsyncGenerator<SessionRecord, void, undefined> {
    this.#begin();
    assertScan(options);
    const { sessionPrefix, sessionPattern } = this.#keys;
    const prefixBytes = Buffer.byteLength(sessionPrefix);
    for await (const keys of walkKeys(this.#connection, "scan", sessionPattern, options.batchSize)) {
      const now = await this.#connection.now("scan");
      const values = await this.#connection.peekAll("scan", keys);
      const stored = keys.flatMap((key, n): [id: string, value: Buffer][] => {
        const value = values[n];
        return value && !isTombstone(value) ? [[key.toString("utf8", prefixBytes), value]] : [];
      });
      yield* readRecords(stored, now, options.onCorrupt);
    }
  }

  async count(): Promise<SessionCounts> {
    this.#begin();
    return this.#protocol.count();
  }

  async clear(): Promise<void> {
    this.#begin();
    return this.#protocol.clear();
  }

  /** Closes the client that `fromUrl` opened, and leaves alone one that was handed in. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#owned) await disconnect(this.#owned, this.#timeoutMs);
  }

  /** What it finds; null for what only a GET can tell: MGET answers nothing for a key of another type, too. */
  async #readMany(ids: readonly string[]): Promise<Map<string, Buffer | null>> {
    const { clock } = this.#connection;
    const keys = ids.map((id) => this.#keys.sessionPrefix + id);
    const reading = this.#connection.command({ operation: "get" }, keys.length === 1 ? "GET" : "MGET", ...keys);
    if (clock.isUncertain()) await Promise.all([reading, this.#connection.askTime("get")]);
    const reply = await reading;
    if (!Array.isArray(reply)) return new Map(reply === null ? [] : ids.map((id) => [id, asBuffer(reply)]));
    return new Map(ids.map((id, n) => [id, reply[n] === null ? null : asBuffer(reply[n])]));
  }

  /** Refuses a closed store. On first use has the server's settings looked at, beside the first operation. */
  #begin(): void {
    if (this.#closed) throw new SessionError("CLOSED", "@sojourn/redis: the store has been closed");
    if (this.#settingsChecked) return;
    this.#settingsChecked = true;
    warnOfEviction(this.#connection).catch((error: unknown) => {
      // Not after BACKEND: who may not ask would be refused again beside each operation.
      this.#settingsChecked = !(isSessionError(error, "UNAVAILABLE") || isSessionError(error, "TIMEOUT"));
    });
  }
}
