import { SessionError, type SessionErrorCode } from "@sojourn/core/adapter";

/** The code, what to say, and whether a write that met this error may have been applied all the same. */
type Meaning = readonly [code: SessionErrorCode, meaning: string, mayBeApplied?: boolean];

/** What an error of the server means, by its code. */
const serverErrors: ReadonlyMap<number, Meaning> = new Map([
  ...all([10_107, 13_435, 10_058], ["UNAVAILABLE", "the server is not the primary"]),
  ...all([189, 11_602], ["UNAVAILABLE", "the primary stepped down", true]),
  ...all([91, 11_600], ["UNAVAILABLE", "the server is shutting down", true]),
  ...all([13_436], ["UNAVAILABLE", "the server is starting"]),
  ...all([6, 7, 89, 133, 9_001], ["UNAVAILABLE", "the shard or replica cannot be reached", true]),
  ...all([64], ["UNAVAILABLE", "the write was not confirmed by enough servers", true]),
  ...all([112], ["UNAVAILABLE", "concurrent writes stood in each other's way"]),
  ...all([11_601], ["UNAVAILABLE", "the server stopped the operation", true]),
  ...all([50, 262], ["TIMEOUT", "the server ran out of the time that it was given", true]),
  ...all([13], ["BACKEND", "the user lacks a permission"]),
  ...all([8_000, 18], ["BACKEND", "the server refused the login"]),
  ...all([79, 100], ["BACKEND", 'the servers cannot satisfy the option "writeConcern"']),
  ...all([85, 86], ["BACKEND", "the collection has an index that differs from the store's; drop it"]),
  ...all([11_000], ["BACKEND", "what is stored stands in the way of a unique index"]),
  ...all([10_334, 17_419, 17_420], ["PAYLOAD_TOO_LARGE", "the server takes no document of this size"]),
  ...all([14_031], ["BACKEND", "the server's disk is full"]),
]);

/** What the driver says by the name of the class: `instanceof` would know one copy of the driver only. */
const driverErrors: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ["MongoServerSelectionError", ["UNAVAILABLE", "the server cannot be reached"]],
  ["MongoWaitQueueTimeoutError", ["UNAVAILABLE", "the pool has no connection to lend"]],
  ["MongoPoolClearedError", ["UNAVAILABLE", "the server cannot be reached"]],
  ["MongoPoolClearedOnNetworkError", ["UNAVAILABLE", "the connection was lost", true]],
  ["MongoNetworkError", ["UNAVAILABLE", "the connection was lost", true]],
  ["MongoNetworkTimeoutError", ["UNAVAILABLE", "the connection was lost", true]],
  ["MongoServerClosedError", ["UNAVAILABLE", "the server cannot be reached"]],
  ["MongoOperationTimeoutError", ["TIMEOUT", "no answer within the driver's own timeout", true]],
  ["MongoTopologyClosedError", ["CLOSED", "the client has been closed"]],
  ["MongoNotConnectedError", ["CLOSED", "the client has been closed"]],
  ["MongoClientClosedError", ["CLOSED", "the client has been closed"]],
]);

/** What the operating system says, where the driver passes it on as it is. */
const unreachable: ReadonlySet<string> = new Set([
  "EAI_AGAIN",
  "ECONNABORTED",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EPIPE",
  "ETIMEDOUT",
]);

/**
 * Turns an error of the driver into one of ours.
 *
 * @param sent - whether it met a write: then an error that came on the way leaves the outcome unknown
 */
export function classify(error: unknown, operation: string, sent: boolean): SessionError {
  if (error instanceof SessionError) return error;
  const say = ([code, meaning, mayBeApplied = false]: Meaning): SessionError =>
    new SessionError(code, `@sojourn/mongodb: ${operation}: ${meaning}`, {
      cause: error,
      outcomeUnknown: sent && mayBeApplied,
    });
  const { name, code, labels, systemCode } = describeError(error);
  // One that is both was confirmed by the primary and not by enough others.
  if (name === "MongoWriteConcernError" && code !== 79 && code !== 100) {
    return say(["UNAVAILABLE", "the write was not confirmed by enough servers", true]);
  }
  const known = serverErrors.get(code) ?? driverErrors.get(name);
  if (known !== undefined) return say(known);
  if (unreachable.has(systemCode)) return say(["UNAVAILABLE", "the connection was lost", true]);
  if (labels.includes("RetryableWriteError")) return say(["UNAVAILABLE", "the server is not ready", true]);
  if (code > 0) return say(["BACKEND", `the server answered error ${code}`]);
  return say(["BACKEND", `the driver failed${name === "" ? "" : ` with a ${name}`}`, true]);
}

/** Whether a document was refused because a unique index holds its key already. */
export function isDuplicateKey(error: unknown): boolean {
  const { code, message } = describeError(error);
  // FerretDB 1 answers an update that SQLite refuses as an internal error.
  return code === 11_000 || (code === 1 && message.includes("UNIQUE constraint failed"));
}

export function isMissingCollection(error: unknown): boolean {
  return describeError(error).code === 26;
}

/** Whether the server knows no such command, or no such option of it. */
export function isUnknownToServer(error: unknown): boolean {
  // 59: CommandNotFound. 238: NotImplemented. 72: InvalidOptions. 197: InvalidIndexSpecificationOption.
  return [59, 238, 72, 197].includes(describeError(error).code);
}

function all(codes: readonly number[], meaning: Meaning): [number, Meaning][] {
  return codes.map((code) => [code, meaning]);
}

interface DescribedError {
  readonly name: string;
  readonly message: string;
  /** The server's, 0 when it has said nothing. */
  readonly code: number;
  /** The operating system's. */
  readonly systemCode: string;
  readonly labels: readonly string[];
}

/** The driver's error, also when it is the cause of one of ours. */
function describeError(thrown: unknown): DescribedError {
  const error = thrown instanceof SessionError ? thrown.cause : thrown;
  const property = (key: string): unknown =>
    typeof error === "object" && error !== null ? Reflect.get(error, key) : undefined;
  const [name, message, code, labels] = ["name", "message", "code", "errorLabels"].map(property);
  return {
    name: typeof name === "string" ? name : "",
    message: typeof message === "string" ? message : "",
    code: typeof code === "number" ? code : 0,
    systemCode: typeof code === "string" ? code : "",
    labels: Array.isArray(labels) ? labels : [],
  };
}
