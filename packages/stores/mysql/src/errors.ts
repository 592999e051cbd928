import { SessionError, type SessionErrorCode } from "@sojourn/core/adapter";

/** The code, what to say, and whether a write that met this error may have been applied all the same. */
type Meaning = readonly [code: SessionErrorCode, meaning: string, mayBeApplied?: boolean];

/** What an error of the server means, by its errno. */
const meanings: ReadonlyMap<number, Meaning> = new Map([
  ...all([1037, 1038, 1040, 1041, 1135, 1203, 1206, 1226], ["UNAVAILABLE", "the server lacks connections or memory"]),
  ...all([1047, 3168], ["UNAVAILABLE", "the server is not ready"]),
  ...all([1205, 1213, 1467, 3101], ["UNAVAILABLE", "concurrent transactions stood in each other's way"]),
  ...all([1053, 1077, 1078, 1079], ["UNAVAILABLE", "the server is shutting down", true]),
  ...all([1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031], ["UNAVAILABLE", "the connection was closed", true]),
  ...all([1317, 1969, 3024], ["UNAVAILABLE", "the server stopped the statement", true]),
  ...all([1045, 1129, 1130, 1251, 1698, 1820, 1862, 3118, 3159, 4151], ["BACKEND", "the server refused the login"]),
  ...all([1044, 1142, 1143, 1227, 1370], ["BACKEND", "the user lacks a permission"]),
  ...all([1290, 1792, 1836], ["BACKEND", "the server is read-only; sessions need the primary server"]),
  ...all([1046, 1049], ["BACKEND", "no database is selected, or it does not exist"]),
  ...all([1146, 1305], ["BACKEND", "a table or procedure does not exist; call ensureSchema() or run schemaSql()"]),
  ...all([1054, 1318], ["BACKEND", "the table is not one of Sojourn's; choose another name"]),
  ...all([1021, 1114], ["BACKEND", "the server's disk or table is full"]),
  ...all([1665], ["BACKEND", 'the server needs binlog_format "ROW" or "MIXED"']),
  ...all([1118, 1153], ["PAYLOAD_TOO_LARGE", "the server takes no session of this size; see max_allowed_packet"]),
]);

/** What the driver says by code, and the operating system through it. */
const unreachable: ReadonlySet<string> = new Set([
  "EAI_AGAIN",
  "ECONNABORTED",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
  "ENOTFOUND",
  "EPIPE",
  "ETIMEDOUT",
  "PROTOCOL_CONNECTION_LOST",
]);

/** What the driver says in words alone. */
const lostConnection = /in closed state|closed the connection|connection (was )?(lost|closed)/i;
const exhausted = /^(No connections available|Queue limit reached)\.$/;

/**
 * Turns an error of the driver into one of ours.
 *
 * @param sent - whether a write had been sent: then a lost connection leaves its outcome unknown
 */
export function classify(error: unknown, operation: string, sent: boolean): SessionError {
  if (error instanceof SessionError) return error;
  const say = (code: SessionErrorCode, meaning: string, outcomeUnknown = false): SessionError =>
    new SessionError(code, `@sojourn/mysql: ${operation}: ${meaning}`, { cause: error, outcomeUnknown });

  const { errno, code, message } = describeError(error);
  const known = meanings.get(errno);
  if (known !== undefined) return say(known[0], known[1], sent && known[2] === true);
  if (unreachable.has(code) || lostConnection.test(message)) {
    return say("UNAVAILABLE", sent ? "the connection was lost" : "the server cannot be reached", sent);
  }
  if (code === "PROTOCOL_SEQUENCE_TIMEOUT") return say("TIMEOUT", "no answer within the driver's own timeout", sent);
  if (exhausted.test(message)) return say("UNAVAILABLE", "the pool has no connection to lend");
  if (message === "Pool is closed.") return say("CLOSED", "the pool has been closed");
  return errno > 0 ? say("BACKEND", `the server answered error ${errno}`) : say("BACKEND", "the driver failed", sent);
}

/** Whether the transaction was undone for a reason that another attempt does not meet. */
export function isWorthRepeating(error: unknown): boolean {
  // 1213: deadlock. 1205: lock wait timeout. 1467: a deadlock on the counter of AUTO_INCREMENT, under another name.
  return [1213, 1205, 1467].includes(describeError(error).errno);
}

/** Whether a procedure was not created because there is one of this name. */
export function isProcedureThere(error: unknown): boolean {
  return describeError(error).errno === 1304;
}

export function isMissingTable(error: unknown): boolean {
  return describeError(error).errno === 1146;
}

function all(errnos: readonly number[], meaning: Meaning): [number, Meaning][] {
  return errnos.map((errno) => [errno, meaning]);
}

/** `errno` is 0 where the server has answered none: the operating system's numbers are negative. */
function describeError(error: unknown): { errno: number; code: string; message: string } {
  const property = (key: string): unknown =>
    typeof error === "object" && error !== null ? Reflect.get(error, key) : undefined;
  const [errno, code, message] = [property("errno"), property("code"), property("message")];
  return {
    errno: typeof errno === "number" && errno > 0 ? errno : 0,
    code: typeof code === "string" ? code : "",
    message: typeof message === "string" ? message : "",
  };
}
