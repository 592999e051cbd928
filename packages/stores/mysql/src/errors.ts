import { type ErrorContext, SessionError, type SessionErrorCode } from "@sojourn/core/adapter";

/** The code, the message, and whether a write that met this error may have been applied all the same. */
type Meaning = readonly [code: SessionErrorCode, meaning: string, mayBeApplied?: boolean];

/** The meaning of the server's errors, by errno. */
const meanings: ReadonlyMap<number, Meaning> = new Map([
  ...all([1037, 1038, 1040, 1041, 1135, 1203, 1206, 1226], ["UNAVAILABLE", "the server lacks connections or memory"]),
  ...all([1047, 3168], ["UNAVAILABLE", "the server is not ready"]),
  ...all([1020, 1205, 1213, 1467, 3101, 9007], ["UNAVAILABLE", "concurrent transactions stood in each other's way"]),
  ...all([1053, 1077, 1078, 1079], ["UNAVAILABLE", "the server is shutting down", true]),
  ...all([1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031], ["UNAVAILABLE", "the connection was closed", true]),
  ...all([1317, 1969, 3024], ["UNAVAILABLE", "the server stopped the statement", true]),
  // During a failover the old primary answers so until the address leads to the new one.
  ...all([1290, 1792, 1836], ["UNAVAILABLE", "the server is read-only; sessions need the primary server"]),
  ...all([1045, 1129, 1130, 1251, 1698, 1820, 1862, 3118, 4151], ["BACKEND", "the server refused the login"]),
  ...all([3159], ["BACKEND", "the server requires TLS; set ssl-mode in the URL, or ssl of the pool"]),
  ...all([1044, 1142, 1143, 1227, 1370, 1419], ["BACKEND", "the user lacks a privilege"]),
  ...all([1046, 1049], ["BACKEND", "no database is selected, or it does not exist"]),
  ...all(
    [1146, 1305],
    ["BACKEND", "a table or procedure does not exist; call ensureSchema() and await it, or run schemaSql()"],
  ),
  ...all([1054, 1318], ["BACKEND", "the table is not one of Sojourn's; choose another name"]),
  ...all([1021, 1114], ["BACKEND", "the server's disk or table is full"]),
  ...all([1665], ["BACKEND", 'the server needs binlog_format "ROW" or "MIXED"']),
  ...all([1118, 1153], ["PAYLOAD_TOO_LARGE", "the server takes no session of this size; see max_allowed_packet"]),
]);

/** Codes of the operating system and of mysql2. */
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

/** Errors of mysql2 that have no code of their own. */
const closedState = /in closed state/i;
const lostConnection = /closed the connection|connection (was )?(lost|closed)|in closed state/i;
const exhausted = /^(No connections available|Queue limit reached)\.$/;
/** mysql2 gives every failure during a TLS handshake one code. */
const brokenHandshake = /socket|disconnected|ECONNRESET|ETIMEDOUT|EPIPE/i;
const unsupported = /not support|unsupported|doesn't yet support|syntax error/i;

/** Turns an error of the driver into a `SessionError`. */
export function classify(error: unknown, { operation, sent }: ErrorContext): SessionError {
  const say = (code: SessionErrorCode, meaning: string, outcomeUnknown = false): SessionError =>
    new SessionError(code, `@sojourn/mysql: ${operation}: ${meaning}`, { cause: error, outcomeUnknown });

  const { errno, code, message } = describeError(error);
  const known = meanings.get(errno);
  if (known !== undefined) return say(known[0], known[1], sent && known[2] === true);
  if (code === "HANDSHAKE_SSL_ERROR") {
    return brokenHandshake.test(message)
      ? say("UNAVAILABLE", "the connection was lost during the TLS handshake")
      : say("BACKEND", "TLS failed, such as by a certificate that was refused; see the cause");
  }
  if (code === "HANDSHAKE_NO_SSL_SUPPORT") return say("BACKEND", "the server offers no TLS, which the pool requires");
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
  // 1020: the row has changed since the snapshot (MariaDB). 9007: write conflict (TiDB).
  return [1020, 1205, 1213, 1467, 9007].includes(describeError(error).errno);
}

/** Whether the connection broke, or was found to be broken. */
export function isConnectionLost(error: unknown): boolean {
  const { errno, code, message } = describeError(error);
  if (errno > 0) return [1053, 1927, 4031].includes(errno);
  return (
    ["ECONNABORTED", "ECONNRESET", "EPIPE", "PROTOCOL_CONNECTION_LOST"].includes(code) || lostConnection.test(message)
  );
}

/** Whether mysql2 refused to send, because the connection had been closed before. */
export function isUnsent(error: unknown): boolean {
  return closedState.test(describeError(error).message);
}

/** Whether the server takes no writes, as the old primary after a failover. */
export function isReadOnly(error: unknown): boolean {
  return [1290, 1792, 1836].includes(describeError(error).errno);
}

export function isReadOnlyTransaction(error: unknown): boolean {
  return describeError(error).errno === 1792;
}

/**
 * Whether a CALL failed, or a CREATE PROCEDURE, because the server has no procedures, or not this one, or because the user
 * may not call it. Nothing was done then.
 */
export function lacksProcedure(error: unknown): boolean {
  const { errno, message } = describeError(error);
  // 1305: there is none. 1370: no EXECUTE. 1064, 1235, 1295, 8108: the server does not know or prepare CALL. 1105: Vitess.
  if ([1064, 1235, 1295, 1305, 1370, 8108].includes(errno)) return true;
  return errno === 1105 && unsupported.test(message);
}

/** Whether a SELECT failed because the server does not offer SKIP LOCKED. */
export function lacksSkipLocked(error: unknown): boolean {
  // 1105: TiDB, which loses a column of the join.
  return [1064, 1105, 1235].includes(describeError(error).errno);
}

export function isDenied(error: unknown): boolean {
  return [1044, 1142, 1143, 1227, 1370, 1419].includes(describeError(error).errno);
}

/** Whether a row was not written because another one has its id. */
export function isDuplicate(error: unknown): boolean {
  return describeError(error).errno === 1062;
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
