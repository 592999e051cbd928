import { type ErrorContext, SessionError, type SessionErrorCode } from "@sojourn/core/adapter";
import { wrongIsolation } from "./functions.js";

/** Code and meaning of an error, by SQLSTATE or by the two characters of its class. */
const meanings: Readonly<Record<string, readonly [SessionErrorCode, string]>> = {
  "08": ["UNAVAILABLE", "the connection to the server failed"],
  "53": ["UNAVAILABLE", "the server lacks connections, memory or space"],
  "40": ["UNAVAILABLE", "concurrent transactions were in conflict"],
  "57P01": ["UNAVAILABLE", "the server is shutting down"],
  "57P02": ["UNAVAILABLE", "the server has crashed and is recovering"],
  "57P03": ["UNAVAILABLE", "the server does not accept connections yet"],
  "57P05": ["UNAVAILABLE", "the server closed an idle connection"],
  "55P03": ["TIMEOUT", "a lock was not granted within lock_timeout"],
  "57014": ["TIMEOUT", "the statement was canceled, by statement_timeout or by an administrator"],
  // A failover may have demoted the server: the next connection may reach the new primary.
  "25006": ["UNAVAILABLE", "the server or the transaction is read-only; sessions need the primary server"],
  "26000": ["BACKEND", "a prepared statement was lost, also when it was sent again"],
  "28": ["BACKEND", "the server refused the user or the password"],
  "3D000": ["BACKEND", "the database does not exist"],
  "3F000": ["BACKEND", "the schema does not exist; call ensureSchema() and await it, or run schemaSql()"],
  "42501": ["BACKEND", "the user lacks a permission"],
  "42703": ["BACKEND", "the table was not made by Sojourn; choose another name"],
  "42P01": ["BACKEND", "the table does not exist; call ensureSchema() and await it, or run schemaSql()"],
  "42883": ["BACKEND", "a function does not exist; call ensureSchema() and await it, or run schemaSql()"],
};

const socketCodes: ReadonlySet<string> = new Set([
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
]);

/** Codes of OpenSSL and Node for a server certificate that the client refuses. */
const refusedCertificate =
  /^(ERR_TLS_CERT|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_CA|HOSTNAME_MISMATCH)/;

/** `pg` gives these errors no code. */
const lostConnection = /connection terminated|not queryable|timeout exceeded when trying to connect/i;
const noTls = /does not support SSL connections|error establishing an SSL connection/;
const unanswered = "Query read timeout";

/** Turns an error of `pg` into a `SessionError`. After a lost connection, the outcome of a statement that was sent is unknown. */
export function classify(error: unknown, { operation, sent }: ErrorContext): SessionError {
  const toError = (code: SessionErrorCode, meaning: string, outcomeUnknown = false): SessionError =>
    new SessionError(code, `@sojourn/postgres: ${operation}: ${meaning}`, { cause: error, outcomeUnknown });

  const { code, message } = describeError(error);
  const state = sqlState(error);
  if (state !== undefined) {
    const [meaningCode, meaning] = meanings[state] ??
      meanings[state.slice(0, 2)] ?? ["BACKEND", `the server answered ${state}`];
    // The server's message names the table, function or schema.
    return toError(
      meaningCode,
      state === "42501" ? `${meaning}: ${message}` : meaning,
      sent && mayHaveCommitted(state),
    );
  }
  if (isLostConnection(error)) {
    return toError("UNAVAILABLE", sent ? "the connection was lost" : "the server cannot be reached", sent);
  }
  if (refusedCertificate.test(code)) return toError("BACKEND", `the server's certificate is refused (${code})`);
  if (noTls.test(message))
    return toError("BACKEND", "the server does not offer TLS, which the URL or the pool asks for");
  if (message === unanswered) return toError("TIMEOUT", "no answer within the query_timeout of the pool", sent);
  if (message.includes("after calling end on the pool")) return toError("CLOSED", "the pool has been ended");
  return toError("BACKEND", "the driver failed", sent);
}

/** Whether the statement may have been committed. 57P05 ends a connection that was idle, before the statement arrived. */
function mayHaveCommitted(state: string): boolean {
  return (state.startsWith("57P") && state !== "57P05") || state.startsWith("08");
}

/** Whether the connection broke, or could not be opened. */
export function isLostConnection(error: unknown): boolean {
  const { code, message } = describeError(error);
  const state = sqlState(error);
  if (state !== undefined) return /^(08|57P)/.test(state);
  return socketCodes.has(code) || lostConnection.test(message);
}

/** Whether the pool's `query_timeout` ended the wait for an answer. */
export function isUnanswered(error: unknown): boolean {
  return describeError(error).message === unanswered;
}

/** Whether a prepared statement is missing, or exists already. A pooler causes both, because it switches connections. */
export function isLostPreparation(error: unknown): boolean {
  const state = sqlState(error);
  return state === "26000" || state === "42P05";
}

/** Returns the SQLSTATE of an error that the server has sent. */
function sqlState(error: unknown): string | undefined {
  const { code, severity } = describeError(error);
  return severity !== "" && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/**
 * Whether the connection can serve the next statement. It cannot after an error without a SQLSTATE, of the connection (08),
 * of its transaction (25: aborted, or read-only since a failover), of its prepared statements (26), or when the server ends
 * it (57P).
 */
export function leavesConnectionIntact(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && !/^(08|25|26|57P)/.test(state);
}

/** Whether the error shows an isolation level other than READ COMMITTED: at READ COMMITTED neither state can happen. */
export function isWrongIsolation(error: unknown): boolean {
  const state = sqlState(error);
  return state === wrongIsolation || state === "40001";
}

/**
 * Whether the statement has certainly changed nothing and another attempt can succeed: after a deadlock, an id that was taken
 * meanwhile, or an idle connection that the server had closed.
 */
export function isWorthRepeating(error: unknown): boolean {
  const state = sqlState(error);
  const isUndone = state === "40P01" || state === "23505" || state === "57P05";
  return isUndone || isWrongIsolation(error) || isLostPreparation(error);
}

/** Whether a statement failed because a payload is not valid text (SQLSTATE 22021). */
export function isNoText(error: unknown): boolean {
  return sqlState(error) === "22021";
}

function describeError(error: unknown): { code: string; severity: string; message: string } {
  const text = (key: string): string => {
    const value: unknown = typeof error === "object" && error !== null ? Reflect.get(error, key) : undefined;
    return typeof value === "string" ? value : "";
  };
  return { code: text("code"), severity: text("severity"), message: text("message") };
}
