import { isSessionError, SessionError } from "@sojourn/core/bridge";

const unavailable: ReadonlySet<string> = new Set(["UNAVAILABLE", "TIMEOUT"]);
const internal: ReadonlySet<string> = new Set(["BACKEND", "CORRUPT", "DECODE", "CLOSED"]);

/** Settles as `call` does, but rejects with what Fastify is to answer: it hands errors on to the client. */
export function replying<Result>(call: Promise<Result>): Promise<Result> {
  return call.catch((error: unknown) => {
    throw toReplyError(error);
  });
}

/**
 * An error of the store as Fastify answers it: 503 while the backend is away, else 500, with a message that tells a client
 * nothing of the backend. The error itself is its `cause`, for the log. Errors that an application may want to answer in its
 * own way stay as they are: `LIMIT_REACHED`, `CONFLICT`, `PAYLOAD_TOO_LARGE` and the like.
 */
export function toReplyError(error: unknown): unknown {
  if (!isSessionError(error)) return error;
  const { code, outcomeUnknown } = error;
  if (unavailable.has(code)) return withStatus(503, "Sessions are not available at the moment");
  if (internal.has(code)) return withStatus(500, "The session cannot be read or written");
  return error;

  function withStatus(statusCode: number, message: string): SessionError {
    const details = { cause: error, outcomeUnknown };
    return Object.assign(new SessionError(code, message, details), { statusCode });
  }
}
