import { isSessionError, SessionError, type SessionErrorCode } from "../contract/errors.js";

const unavailable: ReadonlySet<SessionErrorCode> = new Set(["UNAVAILABLE", "TIMEOUT"]);
const internal: ReadonlySet<SessionErrorCode> = new Set(["BACKEND", "CORRUPT", "DECODE", "CLOSED"]);

/** Settles as `call` does, but rejects with {@link toHttpError}. */
export function withHttpErrors<Result>(call: Promise<Result>): Promise<Result> {
  return call.catch((error: unknown) => {
    throw toHttpError(error);
  });
}

/**
 * Returns the error to throw into an HTTP framework, which shows its `statusCode` and message to the client.
 *
 * A store error becomes 503 while the backend cannot be reached, else 500, with a message that says nothing about the
 * backend; the store's error is its `cause`, for the log. Errors that an application may answer itself, such as
 * `LIMIT_REACHED`, `CONFLICT` and `PAYLOAD_TOO_LARGE`, and errors of other code, are returned unchanged.
 */
export function toHttpError(error: unknown): unknown {
  if (!isSessionError(error)) return error;
  if (unavailable.has(error.code)) return withStatus(error, 503, "Sessions are not available at the moment");
  if (internal.has(error.code)) return withStatus(error, 500, "The session cannot be read or written");
  return error;
}

function withStatus(cause: SessionError, statusCode: number, message: string): SessionError {
  const { code, outcomeUnknown } = cause;
  // The form of the package http-errors, which Koa and Nest recognise. `expose: false`: they answer by the status alone.
  const answer = { status: statusCode, statusCode, expose: false };
  return Object.assign(new SessionError(code, message, { cause, outcomeUnknown }), answer);
}
