import { type ErrorContext, isSessionError, SessionError, type SessionErrorCode } from "@sojourn/core/adapter";

/** The code, its explanation, and whether a write that met this error may have been applied. */
type Meaning = readonly [code: SessionErrorCode, meaning: string, mayBeApplied?: boolean];

/** Meanings of the errors of servers, by code. */
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
  ...all([11_000], ["BACKEND", "stored documents stand in the way of a unique index"]),
  ...all([10_334, 17_419, 17_420], ["PAYLOAD_TOO_LARGE", "the server takes no document of this size"]),
  ...all([14_031], ["BACKEND", "the server's disk is full"]),
]);

/** Meanings of the errors of the driver, by the name of the class: `instanceof` would know one copy of the driver only. */
const driverErrors: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ["MongoServerSelectionError", ["UNAVAILABLE", "the server cannot be reached"]],
  ["MongoWaitQueueTimeoutError", ["UNAVAILABLE", "the pool has no connection to lend"]],
  ["MongoPoolClearedError", ["UNAVAILABLE", "the server cannot be reached"]],
  ["PoolClearedOnNetworkError", ["UNAVAILABLE", "the connection was lost", true]],
  ["MongoPoolClosedError", ["UNAVAILABLE", "the server cannot be reached"]],
  ["MongoNetworkError", ["UNAVAILABLE", "the connection was lost", true]],
  ["MongoNetworkTimeoutError", ["TIMEOUT", "the server did not answer in time", true]],
  ["MongoServerClosedError", ["UNAVAILABLE", "the server cannot be reached"]],
  ["MongoOperationTimeoutError", ["TIMEOUT", "no answer within the driver's own timeout", true]],
  // The signal of a request to the clock, or of a probe.
  ["TimeoutError", ["TIMEOUT", "the server did not answer in time", true]],
  ["AbortError", ["TIMEOUT", "the server did not answer in time", true]],
  ["MongoTopologyClosedError", ["CLOSED", "the client has been closed"]],
  ["MongoNotConnectedError", ["CLOSED", "the client has been closed"]],
  ["MongoClientClosedError", ["CLOSED", "the client has been closed"]],
]);

/** Errors of the operating system, where the driver passes them on as they are. */
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

/** The round trip that failed. */
interface FailedTrip {
  readonly operation: string;
  /** Whether its command may have reached a server. */
  readonly isSent: boolean;
  readonly isWrite: boolean;
}

/** Turns an error of the driver into a `SessionError`. */
export function classify(error: unknown, { operation, sent }: ErrorContext): SessionError {
  return describeFailure(error, { operation, isSent: sent, isWrite: true });
}

/** Likewise, for one round trip. An error that is a `SessionError` already stays as it is. */
export function describeFailure(error: unknown, { operation, isSent, isWrite }: FailedTrip): SessionError {
  if (isSessionError(error)) return error;
  const toError = ([code, meaning, mayBeApplied = false]: Meaning): SessionError =>
    new SessionError(code, `@sojourn/mongodb: ${operation}: ${meaning}`, {
      cause: error,
      outcomeUnknown: isWrite && isSent && mayBeApplied,
    });
  const { name, code, labels, systemCode } = describeError(error);
  // An error that is both was confirmed by the primary and not by enough others.
  if (name === "MongoWriteConcernError" && code !== 79 && code !== 100) {
    return toError(["UNAVAILABLE", "the write was not confirmed by enough servers", true]);
  }
  const known = serverErrors.get(code) ?? driverErrors.get(name);
  if (known?.[0] === "TIMEOUT" && !isSent) return toError(["UNAVAILABLE", "there was no connection in time"]);
  if (known !== undefined) return toError(known);
  if (unreachable.has(systemCode)) return toError(["UNAVAILABLE", "the connection was lost", true]);
  if (labels.includes("RetryableWriteError")) return toError(["UNAVAILABLE", "the server is not ready", true]);
  if (code > 0) return toError(["BACKEND", `the server answered error ${code}`]);
  return toError(["BACKEND", `the driver failed${name === "" ? "" : ` with a ${name}`}`, true]);
}

/** Whether a document was refused because a unique index holds its key already. */
export function isDuplicateKey(error: unknown): boolean {
  const { code, message } = describeError(error);
  // FerretDB 1 answers an update that SQLite refuses as an internal error.
  return code === 11_000 || (code === 1 && message.includes("UNIQUE constraint failed"));
}

export function isUnauthorized(error: unknown): boolean {
  return describeError(error).code === 13;
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
  const error = isSessionError(thrown) ? thrown.cause : thrown;
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
