import { SessionError, withTimeout } from "@sojourn/core/adapter";
import type { Collection, CollectionOptions, Db, Document, MongoClient, WriteConcernSettings } from "mongodb";
import { type Moment, ServerClock } from "./clock.js";
import type { GuardDocument, SessionDocument } from "./document.js";
import { classify, isUnknownToServer } from "./errors.js";
import type { ResolvedOptions } from "./options.js";
import { createIndexes } from "./schema.js";

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

/** For `find`: what the driver asks for otherwise is 101 documents, and the rest in another round trip. */
export const inOneAnswer = { batchSize: 100_000 };

/** Stores on one client share what is known of its server's clock, so that times written by them agree. */
const clocks = new WeakMap<MongoClient, ServerClock>();

/** The two collections of a store, its server's clock, and the rules under which each round trip is made. */
export class Connection {
  readonly sessions: Collection<SessionDocument>;
  readonly guards: Collection<GuardDocument>;
  readonly timeoutMs: number;
  readonly #client: MongoClient;
  readonly #db: Db;
  readonly #clock: ServerClock;
  readonly #writeConcern: WriteConcernSettings;
  #connecting: Promise<unknown> | undefined;
  /** Whether the server, of a document that it changes or removes, sends only what it is asked for; FerretDB 1 refuses. */
  #sendsParts = true;
  #indexes: Promise<void> | undefined;
  #isClosed = false;

  constructor({ client, dbName, collectionName, writeConcern, timeoutMs }: ResolvedOptions) {
    const db = client.db(dbName);
    this.sessions = db.collection<SessionDocument>(collectionName, collectionOptions);
    this.guards = db.collection<GuardDocument>(`${collectionName}_guards`, collectionOptions);
    this.timeoutMs = timeoutMs;
    this.#writeConcern = writeConcern;
    this.#client = client;
    this.#db = db;
    this.#clock = clocks.get(client) ?? new ServerClock();
    clocks.set(client, this.#clock);
  }

  /** The server's time. */
  async now(): Promise<Moment> {
    this.assertOpen();
    return this.#clock.now(() => this.#askTime());
  }

  /** One round trip that changes nothing. */
  async read<T>(operation: string, request: () => Promise<T>): Promise<T> {
    this.assertOpen();
    return this.#attempt(operation, false, request);
  }

  /** One round trip that writes, and has written when so many servers say so as the options ask for. */
  async write<T>(
    operation: string,
    request: (options: { writeConcern: WriteConcernSettings }) => Promise<T>,
  ): Promise<T> {
    this.assertOpen();
    return this.#attempt(operation, true, () => request({ writeConcern: this.#writeConcern }));
  }

  /**
   * A write that is answered with the document, of which the projection is enough: the whole of it comes only from a
   * server that sends no part of one. Such a server is asked once more the first time.
   */
  async writeAndReceive<T>(
    operation: string,
    projection: Document,
    request: (options: { writeConcern: WriteConcernSettings; projection?: Document }) => Promise<T>,
  ): Promise<T> {
    if (this.#sendsParts) {
      try {
        return await this.write(operation, (options) => request({ ...options, projection }));
      } catch (error) {
        if (!isUnknownToServer(error)) throw error;
        this.#sendsParts = false;
      }
    }
    return this.write(operation, request);
  }

  /** The indexes are there when this resolves. Without the unique one, two sessions could get one id. */
  async ensureIndexes(): Promise<void> {
    this.assertOpen();
    this.#indexes ??= createIndexes(this).catch((error: unknown) => {
      this.#indexes = undefined;
      throw error;
    });
    return this.#indexes;
  }

  assertOpen(): void {
    if (this.#isClosed) throw new SessionError("CLOSED", "@sojourn/mongodb: the store has been closed");
  }

  close(): void {
    this.#isClosed = true;
  }

  /** `hello` needs no login, and the primary answers it. Lesser servers know it by its former name only. */
  async #askTime(): Promise<Date> {
    const ask = (name: string): Promise<Document> =>
      this.#db.command({ [name]: 1 }, { ...collectionOptions, readPreference: "primary" });
    const answer = await this.#attempt("hello", false, () =>
      ask("hello").catch((error: unknown) => {
        if (isUnknownToServer(error)) return ask("isMaster");
        throw error;
      }),
    );
    const time: unknown = answer.localTime;
    if (time instanceof Date) return time;
    throw new SessionError("BACKEND", "@sojourn/mongodb: the server does not say what time it is");
  }

  /** Until it has succeeded once: a client whose first request fails rejects all that follow as if it had been closed. */
  #connect(): Promise<unknown> {
    this.#connecting ??= this.#client.connect().catch((error: unknown) => {
      this.#connecting = undefined;
      throw error;
    });
    return this.#connecting;
  }

  /** Not for a store that has been closed; one clock serves several stores, and outlives each. */
  async #attempt<T>(operation: string, writes: boolean, request: () => Promise<T>): Promise<T> {
    try {
      return await withTimeout(this.#connect().then(request), this.timeoutMs, `@sojourn/mongodb: ${operation}`);
    } catch (error) {
      const classified = classify(error, operation, writes);
      if (classified.retryable) this.#clock.doubt();
      throw classified;
    }
  }
}
