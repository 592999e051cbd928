import { SessionError } from "@sojourn/core/adapter";
import type { Collection, CollectionOptions, Db, Document, MongoClient, WriteConcernSettings } from "mongodb";
import { type Moment, ServerClock } from "./clock.js";
import type { GuardDocument, SessionDocument } from "./document.js";
import { describeFailure, isUnknownToServer } from "./errors.js";
import type { ResolvedOptions } from "./options.js";
import { PoolWatch } from "./pool-watch.js";

/**
 * Whatever the caller's client is set to, documents come as this package reads them, from the primary: a secondary may
 * not know yet of a logout.
 */
const collectionOptions: CollectionOptions = {
  readPreference: "primary",
  readConcern: { level: "local" },
  promoteValues: true,
  promoteLongs: true,
  useBigInt64: false,
  bsonRegExp: false,
  ignoreUndefined: false,
  raw: false,
};

/** For `find`: the driver asks for 101 documents otherwise, and for the rest in another round trip. */
export const inOneAnswer = { batchSize: 100_000 };

/** Stores on one client share its server's clock, so that times written by them agree, and the watch over its pool. */
const clocks = new WeakMap<MongoClient, ServerClock>();
const watches = new WeakMap<MongoClient, PoolWatch>();

/** The two collections of a store, its client, and its server's clock. */
export class Connection {
  readonly sessions: Collection<SessionDocument>;
  readonly guards: Collection<GuardDocument>;
  readonly timeoutMs: number;
  readonly writeConcern: WriteConcernSettings;
  readonly db: Db;
  /** Whether the server can send a part of a document that it changes or removes. FerretDB 1 cannot. */
  sendsParts = true;
  readonly #client: MongoClient;
  readonly #clock: ServerClock;
  readonly #watch: PoolWatch;
  #connecting: Promise<unknown> | undefined;
  #isClosed = false;

  constructor({ client, dbName, collectionName, writeConcern, timeoutMs }: ResolvedOptions) {
    this.db = client.db(dbName);
    this.sessions = this.db.collection<SessionDocument>(collectionName, collectionOptions);
    this.guards = this.db.collection<GuardDocument>(`${collectionName}_guards`, collectionOptions);
    this.timeoutMs = timeoutMs;
    this.writeConcern = writeConcern;
    this.#client = client;
    this.#clock = clocks.get(client) ?? new ServerClock();
    clocks.set(client, this.#clock);
    this.#watch = watches.get(client) ?? new PoolWatch(client);
    watches.set(client, this.#watch);
  }

  /** Closes the idle connections that do not answer within half the timeout. */
  probeIdle(): void {
    this.#watch.probe(this.timeoutMs / 2);
  }

  /** Returns the server's time. */
  now(): Promise<Moment> {
    return this.#clock.now(() => this.#askTime());
  }

  /** After a failure another server may answer, with another clock. */
  doubtClock(): void {
    this.#clock.doubt();
  }

  /** Resolves once the client has connected. A client whose first request fails would reject all that follow. */
  connected(): Promise<unknown> {
    if (this.#isClosed) {
      return Promise.reject(new SessionError("CLOSED", "@sojourn/mongodb: the store has been closed"));
    }
    this.#connecting ??= this.#client.connect().catch((error: unknown) => {
      this.#connecting = undefined;
      throw error;
    });
    return this.#connecting;
  }

  close(): void {
    this.#isClosed = true;
  }

  /** `hello` needs no login, and the primary answers it. Lesser servers know it by its former name only. */
  async #askTime(): Promise<Date> {
    const ask = (name: string): Promise<Document> => {
      const signal = AbortSignal.timeout(this.timeoutMs);
      return this.db.command({ [name]: 1 }, { ...collectionOptions, readPreference: "primary", signal });
    };
    try {
      await this.connected();
      const answer = await ask("hello").catch((error: unknown) => {
        if (isUnknownToServer(error)) return ask("isMaster");
        throw error;
      });
      const time: unknown = answer.localTime;
      if (time instanceof Date) return time;
    } catch (error) {
      const failure = describeFailure(error, { operation: "hello", isSent: true, isWrite: false });
      // The operations that wait for the time have sent nothing: only this command shows that connections may be silent.
      if (failure.code === "TIMEOUT") this.probeIdle();
      throw failure;
    }
    throw new SessionError("BACKEND", "@sojourn/mongodb: the server does not answer its time");
  }
}
