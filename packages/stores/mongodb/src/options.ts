import { assertUrlOptions, defaultTimeoutMs, invalidOption, invalidUrl, requireOptions } from "@sojourn/core/adapter";
import type { Collection, MongoClient, MongoClientOptions, WriteConcernSettings } from "mongodb";

const packageName = "@sojourn/mongodb";
const defaultCollectionName = "sojourn_sessions";

/** Where the sessions are: a `collection`, or a `client` with names. Two collections never see each other's sessions. */
export interface MongoStoreOptions {
  /** A client of `mongodb` 6 or 7. `close()` leaves it open. */
  readonly client?: MongoClient | undefined;
  /** The database. Default: the database in the client's URL, else `"test"`, as everywhere in the driver. */
  readonly dbName?: string | undefined;
  /**
   * The collection: 1 to 184 bytes, without `$` and NUL, not beginning with `system.`. Default `"sojourn_sessions"`. The
   * one of the same name with `_guards` at its end belongs to the store, too.
   */
  readonly collectionName?: string | undefined;
  /** The collection itself, in place of `client`, `dbName` and `collectionName`. */
  readonly collection?: Collection | undefined;
  /** When a write counts as done; `touch` always waits for one server only. Default `{ w: "majority" }`. */
  readonly writeConcern?: WriteConcernSettings | undefined;
  /** How long one operation may take, in milliseconds. Default 2000. */
  readonly timeoutMs?: number | undefined;
}

export interface MongoUrlOptions extends Omit<MongoStoreOptions, "client" | "collection"> {
  /**
   * Options of the client of `mongodb`, such as `{ tlsCAFile, maxPoolSize: 20 }`. They override those of the URL and the
   * timeouts that the store sets.
   */
  readonly driverOptions?: MongoClientOptions | undefined;
}

export interface ResolvedOptions {
  readonly client: MongoClient;
  readonly dbName: string | undefined;
  readonly collectionName: string;
  readonly writeConcern: WriteConcernSettings;
  readonly timeoutMs: number;
}

/** The calls as they should be written, for messages. */
export const usage = "new MongoStore({ client }) or MongoStore.fromUrl(url)";
const known = ["client", "dbName", "collectionName", "collection", "writeConcern", "timeoutMs"];

export function resolveOptions(options: MongoStoreOptions): ResolvedOptions {
  requireOptions(options, { packageName, usage, known });
  const { writeConcern = { w: "majority" }, timeoutMs = defaultTimeoutMs } = options;
  if (typeof writeConcern !== "object" || writeConcern === null || isUnacknowledged(writeConcern)) {
    throw invalidOption(packageName, "writeConcern", 'an object such as { w: "majority" }, w not 0', writeConcern);
  }
  assertTimeout(timeoutMs);
  return { ...resolvePlace(options), writeConcern, timeoutMs };
}

function resolvePlace(options: MongoStoreOptions): Pick<ResolvedOptions, "client" | "dbName" | "collectionName"> {
  const { client, dbName, collectionName = defaultCollectionName, collection } = options;
  if (collection !== undefined) {
    for (const option of ["client", "dbName", "collectionName"] as const) {
      if (options[option] === undefined) continue;
      throw invalidOption(packageName, option, 'absent beside "collection"', options[option]);
    }
    // Every version from 6.10 has `client`; `db`, which is in the types, is younger.
    const owner: unknown = Reflect.get(Object(collection), "client");
    if (!isClient(owner)) throw invalidOption(packageName, "collection", "a Collection of mongodb", collection);
    return resolvePlace({ client: owner, dbName: collection.dbName, collectionName: collection.collectionName });
  }
  if (!isClient(client)) throw invalidOption(packageName, "client", "a MongoClient of mongodb", client);
  if (dbName !== undefined && !isDatabaseName(dbName)) {
    throw invalidOption(packageName, "dbName", 'the name of a database, without /\\. "$ and NUL', dbName);
  }
  if (!isCollectionName(collectionName)) {
    const expectation = 'a name of 1 to 184 bytes without "$" and NUL that does not begin with "." or "system."';
    throw invalidOption(packageName, "collectionName", expectation, collectionName);
  }
  return { client, dbName, collectionName };
}

export function assertTimeout(timeoutMs: unknown): asserts timeoutMs is number {
  // Timers take no more than 31 bits: a longer one would fire at once.
  if (Number.isInteger(timeoutMs) && Number(timeoutMs) >= 1 && Number(timeoutMs) <= 2_147_483_647) return;
  throw invalidOption(packageName, "timeoutMs", "an integer from 1 to 2147483647", timeoutMs);
}

/** Checks the arguments of `fromUrl`. */
export function assertUrl(url: unknown, options: MongoUrlOptions): asserts url is string {
  assertUrlOptions(packageName, options, ["dbName", "collectionName", "writeConcern", "timeoutMs", "driverOptions"]);
  if (typeof url === "string" && /^mongodb(\+srv)?:\/\/./.test(url)) return;
  throw invalidUrl(packageName, 'a string that starts with "mongodb://" or "mongodb+srv://"', url);
}

function isUnacknowledged({ w }: WriteConcernSettings): boolean {
  return w === 0;
}

function isClient(value: unknown): value is MongoClient {
  return typeof value === "object" && value !== null && "db" in value && typeof value.db === "function";
}

function isDatabaseName(name: unknown): boolean {
  return typeof name === "string" && name.length > 0 && Buffer.byteLength(name) < 64 && !/[/\\. "$\0]/.test(name);
}

function isCollectionName(name: unknown): boolean {
  if (typeof name !== "string" || name.length === 0 || !name.isWellFormed()) return false;
  // With the database's 63 bytes, a dot and "_guards" it stays within the 255 bytes of a namespace.
  return Buffer.byteLength(name) <= 184 && !/[$\0]/.test(name) && !/^(\.|system\.)/.test(name) && !name.endsWith(".");
}
