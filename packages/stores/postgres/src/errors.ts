import { type ErrorContext, SessionError, type SessionErrorCode } from "@sojourn/core/adapter";
import { wrongIsolation } from "./functions.js";

/** What an error means, by SQLSTATE or, where a class has two characters, by its first two. */
const meanings: Readonly<Record<string, readonly [SessionErrorCode, string]>> = {
  "08": ["UNAVAILABLE", "the connection to the server failed"],
  "53": ["UNAVAILABLE", "the server lacks connections, memory or space"],
  "40": ["UNAVAILABLE", "concurrent transactions stood in each other's way"],
  "57P01": ["UNAVAILABLE", "the server is shutting down"],
  "57P02": ["UNAVAILABLE", "the server has crashed and is recovering"],
  "57P03": ["UNAVAILABLE", "the server does not accept connections yet"],
  "57P05": ["UNAVAILABLE", "the server closed an idle connection"],
  "55P03": ["TIMEOUT", "a lock was not granted within lock_timeout"],
  "57014": ["TIMEOUT", "the statement was canceled, by statement_timeout or by an administrator"],
  // A server that a failover has demoted: the next connection may reach the new primary.
  "25006": ["UNAVAILABLE", "the server or the transaction is read-only; sessions need the primary server"],
  "26000": ["BACKEND", "a prepared statement was lost, also when it was sent again"],
  "28": ["BACKEND", "the server refused the user or the password"],
  "3D000": ["BACKEND", "the database does not exist"],
  "3F000": ["BACKEND", "the schema does not exist; call ensureSchema() or run schemaSql()"],
  "42501": ["BACKEND", "the user lacks a permission"],
  "42703": ["BACKEND", "the table is not one of Sojourn's; choose another name"],
  "42P01": ["BACKEND", "the table does not exist; call ensureSchema() or run schemaSql()"],
  "42883": ["BACKEND", "a function does not exist; call ensureSchema() or run schemaSql()"],
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

/** Codes of OpenSSL and Node by which a client refuses the server's certificate. */
const refusedCertificate =
  /^(ERR_TLS_CERT|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_CA|HOSTNAME_MISMATCH)/;

/** Errors that `pg` tells by words alone. */
const lostConnection = /connection terminated|not queryable|timeout exceeded when trying to connect/i;
const noTls = /does not support SSL connections|error establishing an SSL connection/;
const unanswered = "Query read timeout";

/** Turns an error of the driver into one of ours. A lost connection leaves the outcome of a statement that was sent unknown. */
export function classify(error: unknown, { operation, sent }: ErrorContext): SessionError {
  const toError = (code: SessionErrorCode, meaning: string, outcomeUnknown = false): SessionError =>
    new SessionError(code, `@sojourn/postgres: ${operation}: ${meaning}`, { cause: error, outcomeUnknown });

  const { code, message } = describeError(error);
  const state = sqlState(error);
  if (state !== undefined) {
    const [meaningCode, meaning] = meanings[state] ??
      meanings[state.slice(0, 2)] ?? ["BACKEND", `the server answered ${state}`];
    // The server names the table, function or schema.
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

/** A server that shuts down may have committed a statement without an answer. One that ended an idle connection has not. */
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

/** Whether `pg` gave up waiting for an answer, by the pool's `query_timeout`. */
export function isUnanswered(error: unknown): boolean {
  return describeError(error).message === unanswered;
}

/** Whether the server does not have the prepared statement, or has it already: a pooler switches connections. */
export function isLostPreparation(error: unknown): boolean {
  const state = sqlState(error);
  return state === "26000" || state === "42P05";
}

/** The five characters by which the server names an error, if the server has answered one. */
function sqlState(error: unknown): string | undefined {
  const { code, severity } = describeError(error);
  return severity !== "" && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/**
 * Whether the connection is good for the next statement: the server answered, and what is wrong is not the connection (08),
 * its transaction (25: aborted, or read-only since the server was demoted), its prepared statements (26), or that the
 * server ends it (57P). Such a one would fail whoever gets it next.
 */
export function leavesConnectionIntact(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && !/^(08|25|26|57P)/.test(state);
}

/** Whether the statement runs in transactions of another level than READ COMMITTED: at that one neither can happen. */
export function isWrongIsolation(error: unknown): boolean {
  const state = sqlState(error);
  return state === wrongIsolation || state === "40001";
}

/**
 * Whether the statement certainly changed nothing, for a reason that another attempt does not meet: a deadlock, an id just
 * taken, an idle connection that the server has closed.
 */
export function isWorthRepeating(error: unknown): boolean {
  const state = sqlState(error);
  const isUndone = state === "40P01" || state === "23505" || state === "57P05";
  return isUndone || isWrongIsolation(error) || isLostPreparation(error);
}

/** Whether a statement failed because bytes that it reads as text are none (SQLSTATE 22021). */
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
