import { type ErrorContext, SessionError, type SessionErrorCode } from "@sojourn/core/adapter";

/** The statuses of the binary protocol by which a server answers a request that it understood. */
export const status = { ok: 0x00, notFound: 0x01, exists: 0x02, notStored: 0x05 } as const;

const refusals: Readonly<Record<number, readonly [SessionErrorCode, string]>> = {
  3: ["BACKEND", 'the item is too large for the server; its -I and the option "maxItemBytes" must agree'],
  4: ["BACKEND", "the server refused the arguments"],
  32: ["BACKEND", "the server refused the user or the password"],
  129: ["BACKEND", "the server does not know the command"],
  130: ["UNAVAILABLE", "the server is out of memory"],
  131: ["BACKEND", "the server does not support the command"],
  132: ["BACKEND", "the server reports an internal error"],
  133: ["UNAVAILABLE", "the server is busy"],
  134: ["UNAVAILABLE", "the server reports a temporary failure"],
};

/** Errors of the socket that arise before anything can be sent. */
const unreachable: ReadonlySet<string> = new Set([
  "EAI_AGAIN",
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
]);
const lost: ReadonlySet<string> = new Set(["ECONNABORTED", "ECONNRESET", "EPIPE", "ETIMEDOUT"]);

/** Returns the error for an answer of the server that refuses a request. */
export function refusal(statusCode: number, step: string): SessionError {
  const [code, meaning] = refusals[statusCode] ?? ["BACKEND", `the server answered status ${statusCode}`];
  return new SessionError(code, `@sojourn/memcached: ${step}: ${meaning}`);
}

/** Turns an error of memjs, or of the socket under it, into a `SessionError`. */
export function classify(error: unknown, { operation, sent }: ErrorContext): SessionError {
  const toError = (code: SessionErrorCode, meaning: string, outcomeUnknown: boolean): SessionError =>
    new SessionError(code, `@sojourn/memcached: ${operation}: ${meaning}`, { cause: error, outcomeUnknown });

  const { code, message } = describeError(error);
  if (unreachable.has(code) || message === "socket timed out connecting to server.") {
    return toError("UNAVAILABLE", "the server cannot be reached", sent);
  }
  if (lost.has(code)) return toError("UNAVAILABLE", "the connection to the server was lost", sent);
  if (message === "socket timed out waiting on response.") return toError("TIMEOUT", "memjs timed out", sent);
  if (message.includes("authentication failed")) {
    return toError("BACKEND", "the server refused the user or the password", sent);
  }
  return toError("BACKEND", "memjs failed", sent);
}

/** memjs rejects with strings where authentication fails. */
function describeError(error: unknown): { code: string; message: string } {
  if (typeof error === "string") return { code: "", message: error };
  if (!(error instanceof Error)) return { code: "", message: "" };
  const code: unknown = Reflect.get(error, "code");
  return { code: typeof code === "string" ? code : "", message: error.message };
}
