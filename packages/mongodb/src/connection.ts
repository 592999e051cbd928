import { SessionError, withTimeout } from "@sojourn/core";
import type { Collection, CollectionOptions, WriteConcernSettings } from "mongodb";
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

/** The two collections of a store, its server's clock, and the rules under which each round trip is made. */
export class Connection {
  readonly sessions: Collection<SessionDocument>;
  readonly guards: Collection<GuardDocument>;
  readonly timeoutMs: number;
  readonly #clock: ServerClock;
  readonly #writeConcern: WriteConcernSettings;
  #indexes: Promise<void> | undefined;
  #isClosed = false;

  constructor({ client, dbName, collectionName, writeConcern, timeoutMs }: ResolvedOptions) {
    const db = client.db(dbName);
    this.sessions = db.collection<SessionDocument>(collectionName, collectionOptions);
    this.guards = db.collection<GuardDocument>(`${collectionName}_guards`, collectionOptions);
    this.timeoutMs = timeoutMs;
    this.#writeConcern = writeConcern;
    // `hello` needs no login and is answered by the primary; old and lesser servers know it by its former name.
    const hello = (name: "hello" | "isMaster") =>
      db.command({ [name]: 1 }, { readPreference: "primary", ...collectionOptions });
    this.#clock = new ServerClock(async () => {
      const answer = await this.read("hello", () =>
        hello("hello").catch((error: unknown) => {
          if (isUnknownToServer(error)) return hello("isMaster");
          throw error;
        }),
      );
      const time: unknown = answer.localTime;
      if (time instanceof Date) return time;
      throw new SessionError("BACKEND", "@sojourn/mongodb: the server does not say what time it is");
    });
  }

  /** The server's time. */
  now(): Promise<Moment> {
    this.assertOpen();
    return this.#clock.now();
  }

  /** One round trip that changes nothing. */
  read<T>(operation: string, request: () => Promise<T>): Promise<T> {
    return this.#run(operation, request, false);
  }

  /** One round trip that writes, and has written when so many servers say so as the options ask for. */
  write<T>(operation: string, request: (options: { writeConcern: WriteConcernSettings }) => Promise<T>): Promise<T> {
    return this.#run(operation, () => request({ writeConcern: this.#writeConcern }), true);
  }

  /** The indexes are there when this resolves. Without the unique one, two sessions could get one id. */
  ensureIndexes(): Promise<void> {
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

  async #run<T>(operation: string, request: () => Promise<T>, writes: boolean): Promise<T> {
    this.assertOpen();
    try {
      return await withTimeout(request(), this.timeoutMs, `@sojourn/mongodb: ${operation}`);
    } catch (error) {
      const classified = classify(error, operation, writes);
      if (classified.retryable) this.#clock.forget();
      throw classified;
    }
  }
}
