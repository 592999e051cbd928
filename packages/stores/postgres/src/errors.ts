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
  "25006": ["BACKEND", "the server or the transaction is read-only; sessions need the primary server"],
  "26000": ["BACKEND", 'a prepared statement was lost; behind a pooler set "preparedStatements" to false'],
  "28": ["BACKEND", "the server refused the user or the password"],
  "3D000": ["BACKEND", "the database does not exist"],
  "3F000": ["BACKEND", "the schema does not exist; call ensureSchema() or run schemaSql()"],
  "42501": ["BACKEND", "the user lacks a permission"],
  "42703": ["BACKEND", "the table is not one of Sojourn's; choose another name"],
  "42P01": ["BACKEND", "the table does not exist; call ensureSchema() or run schemaSql()"],
  "42P05": ["BACKEND", 'a prepared statement exists already; behind a pooler set "preparedStatements" to false'],
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

/** What `pg` says in words alone. */
const lostConnection = /connection terminated|not queryable|timeout exceeded when trying to connect/i;

/** Turns an error of the driver into one of ours. A lost connection leaves the outcome of a statement that was sent unknown. */
export function classify(error: unknown, { operation, sent }: ErrorContext): SessionError {
  const say = (code: SessionErrorCode, meaning: string, outcomeUnknown = false): SessionError =>
    new SessionError(code, `@sojourn/postgres: ${operation}: ${meaning}`, { cause: error, outcomeUnknown });

  const state = sqlState(error);
  if (state !== undefined) {
    const [code, meaning] = meanings[state] ??
      meanings[state.slice(0, 2)] ?? ["BACKEND", `the server answered ${state}`];
    // A server that shuts down may have committed what it no longer answered.
    return say(code, meaning, sent && (state.startsWith("57P") || state.startsWith("08")));
  }
  const { code, message } = describeError(error);
  if (socketCodes.has(code) || lostConnection.test(message)) {
    return say("UNAVAILABLE", sent ? "the connection was lost" : "the server cannot be reached", sent);
  }
  if (message === "Query read timeout") return say("TIMEOUT", "no answer within the query_timeout of the pool", sent);
  if (message.includes("after calling end on the pool")) return say("CLOSED", "the pool has been ended");
  return say("BACKEND", "the driver failed", sent);
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

/** Whether the transaction was undone for a reason that another attempt does not meet: a deadlock, an id just taken. */
export function isWorthRepeating(error: unknown): boolean {
  const state = sqlState(error);
  return state === "40P01" || state === "23505" || isWrongIsolation(error);
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
