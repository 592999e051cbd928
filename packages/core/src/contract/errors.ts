import { unknownKey } from "./nearest-key.js";

/**
 * The reason of a {@link SessionError}.
 *
 * | code | meaning | retryable |
 * |---|---|---|
 * | `INVALID_OPTION` | an option of a constructor or factory is missing, unknown or out of range | no |
 * | `INVALID_ARGUMENT` | an argument of a call is out of range: an id, a user id, a duration | no |
 * | `UNAVAILABLE` | the backend cannot be reached, or refused work for the moment | yes |
 * | `TIMEOUT` | the backend did not answer in time; the outcome of a write is unknown | yes |
 * | `ABORTED` | the caller's `AbortSignal` fired; the outcome of a write already sent is unknown | no |
 * | `BACKEND` | the backend answered with an error that a retry does not cure: permissions, a missing table, a read-only replica, a key of the wrong type | no |
 * | `CORRUPT` | a stored record cannot be read | no |
 * | `ENCODE` | data cannot be turned into a payload: a BigInt, a cycle, not an object | no |
 * | `INVALID_DATA` | data does not match the schema; `issues` lists the problems | no |
 * | `DECODE` | a payload cannot be turned into data | no |
 * | `PAYLOAD_TOO_LARGE` | the encoded session is larger than the backend or the manager accepts | no |
 * | `CONFLICT` | another writer was faster, and the policy or the number of attempts ends here | yes |
 * | `LIMIT_REACHED` | the user has as many sessions as the limit allows, and its policy is to reject | no |
 * | `NOT_SUPPORTED` | the backend cannot offer this operation; its capabilities say so | no |
 * | `CLOSED` | the store or manager has been closed | no |
 */
export type SessionErrorCode =
  | "INVALID_OPTION"
  | "INVALID_ARGUMENT"
  | "UNAVAILABLE"
  | "TIMEOUT"
  | "ABORTED"
  | "BACKEND"
  | "CORRUPT"
  | "ENCODE"
  | "INVALID_DATA"
  | "DECODE"
  | "PAYLOAD_TOO_LARGE"
  | "CONFLICT"
  | "LIMIT_REACHED"
  | "NOT_SUPPORTED"
  | "CLOSED";

/** The optional members of a {@link SessionError}. */
export interface SessionErrorDetails {
  /** The underlying error, usually of the driver. */
  readonly cause?: unknown;
  /** Whether a write was sent and its result is unknown. Default: true for `TIMEOUT`, else false. */
  readonly outcomeUnknown?: boolean;
  /** The issues of `INVALID_DATA`. */
  readonly issues?: readonly SessionDataIssue[];
}

/** A problem that a schema found in the data of a session. */
export interface SessionDataIssue {
  /** The keys that lead to the value, from the top of the data. */
  readonly path: readonly PropertyKey[];
  /** The message of the schema's library, which may quote the value. */
  readonly message: string;
}

const brand = Symbol.for("sojourn.SessionError");
const retryableCodes: ReadonlySet<SessionErrorCode> = new Set(["UNAVAILABLE", "TIMEOUT", "CONFLICT"]);

/** The error class of every Sojourn package. Recognise it by {@link isSessionError}, decide by `code`. */
export class SessionError extends Error {
  override readonly name = "SessionError";
  readonly code: SessionErrorCode;
  /** Whether the same call may succeed later. Check `outcomeUnknown` before you repeat a write. */
  readonly retryable: boolean;
  /** Whether a write was sent and its result is unknown. */
  readonly outcomeUnknown: boolean;
  /**
   * The issues of `INVALID_DATA`. Not enumerable, as `cause` is not, because a message may quote a value that must not
   * be logged.
   */
  declare readonly issues: readonly SessionDataIssue[] | undefined;

  constructor(code: SessionErrorCode, message: string, details: SessionErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.retryable = retryableCodes.has(code);
    this.outcomeUnknown = details.outcomeUnknown ?? code === "TIMEOUT";
    Object.defineProperty(this, brand, { value: true });
    if (details.issues !== undefined) Object.defineProperty(this, "issues", { value: details.issues });
  }
}

/**
 * Whether `error` is a {@link SessionError}, with this `code` if one is given.
 *
 * Compares a brand instead of using `instanceof`: an application may hold an ESM and a CommonJS copy of this package.
 *
 * @example
 * ```ts
 * import { isSessionError, SessionManager } from "@sojourn/core";
 * import { MemoryStore } from "@sojourn/memory";
 *
 * const manager = new SessionManager({ store: new MemoryStore(), sessionLimit: { max: 1, whenReached: "reject" } });
 * await manager.create({ userId: "42", data: {} });
 * try {
 *   await manager.create({ userId: "42", data: {} });
 * } catch (error) {
 *   if (!isSessionError(error, "LIMIT_REACHED")) throw error;
 *   console.log("log out on another device first");
 * }
 * await manager.close();
 * ```
 */
export function isSessionError(error: unknown, code?: SessionErrorCode): error is SessionError {
  if (typeof error !== "object" || error === null || !(brand in error)) return false;
  return code === undefined || ("code" in error && error.code === code);
}

/** Returns a `SessionError` unchanged, and any other thrown value as the cause of a `BACKEND` error. */
export function asSessionError(cause: unknown, message: string): SessionError {
  return isSessionError(cause) ? cause : new SessionError("BACKEND", message, { cause });
}

/**
 * Returns the error for an invalid option. The message names the package, the option, the expected and the received
 * value.
 *
 * @param received - left out where the value may be a secret
 */
export function invalidOption(
  packageName: string,
  option: string,
  expectation: string,
  ...received: readonly [received?: unknown]
): SessionError {
  const shown = received.length === 0 ? "" : `, received ${describe(received[0])}`;
  return new SessionError("INVALID_OPTION", `${packageName}: option "${option}" must be ${expectation}${shown}`);
}

/** Throws for an option that `known` does not list, so that a misspelt option is not ignored, and for options that are no object. */
export function refuseUnknownOptions(packageName: string, options: object, known: readonly string[]): void {
  // JavaScript callers may pass anything.
  if (typeof options !== "object" || options === null)
    throw invalidOption(packageName, "options", "an object", options);
  for (const option of Object.keys(options)) {
    if (known.includes(option)) continue;
    throw new SessionError("INVALID_OPTION", `${packageName}: ${unknownKey("option", option, known)}`);
  }
}

/**
 * Describes a received value for a message. A string is shown, unless it is long or a URL, which may hold a password: never
 * pass a value that may be a token or a secret.
 */
export function describe(value: unknown): string {
  if (typeof value === "string") {
    if (/^\s*[a-z][a-z0-9+.-]*:\/\//i.test(value)) return "a URL";
    return value.length > 80 ? `a string of ${value.length} characters` : JSON.stringify(value);
  }
  if (typeof value === "function") return "a function";
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return "an array";
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
  return typeof name === "string" && name !== "Object" ? `an instance of ${name}` : "an object";
}
