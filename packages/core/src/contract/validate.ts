import type { StoreCallOptions } from "./call.js";
import { describe, SessionError } from "./errors.js";
import type {
  CreateOptions,
  NewSession,
  ScanOptions,
  SessionLimit,
  SessionRename,
  StoreCapabilities,
  SweepOptions,
  TouchOptions,
  UpdateOptions,
} from "./store.js";

/** The largest length of ids, user ids and namespaces, in bytes of UTF-8. */
export const maxIdBytes = 512;
/** A hundred years: every backend can hold such a deadline. */
export const maxDurationMs = 3_155_760_000_000;
/** The highest version of a session that is taken over: a store holds ten digits. */
const maxVersion = 1_000_000_000;

/*
 * The checks of arguments, one per verb of the contract. Every store makes them before it sends anything, so that the same
 * input is refused everywhere by the same message.
 */

export function assertNewSession(
  session: NewSession,
  options: CreateOptions,
  { maxPayloadBytes }: StoreCapabilities,
): void {
  assertId(session.id);
  if (session.userId !== undefined) assertId(session.userId, "userId");
  assertPayload(session.payload, maxPayloadBytes);
  assertDuration(session.idleMs, "idleMs");
  assertDuration(session.absoluteMs, "absoluteMs");
  const { ageMs = 0, inactiveMs = 0, version } = session;
  assertInteger(ageMs, "ageMs", 0, maxDurationMs);
  assertInteger(inactiveMs, "inactiveMs", 0, ageMs);
  if (version !== undefined) assertInteger(version, "version", 1, maxVersion);
  assertLimit(options.limit);
}

export function assertChange(
  change: SessionRename,
  options: UpdateOptions,
  { maxPayloadBytes }: StoreCapabilities,
): void {
  if (change.payload !== undefined) assertPayload(change.payload, maxPayloadBytes);
  if (change.userId !== undefined && change.userId !== null) assertId(change.userId, "userId");
  if (change.idleMs !== undefined) assertDuration(change.idleMs, "idleMs");
  if (change.absoluteMs !== undefined) assertDuration(change.absoluteMs, "absoluteMs");
  if (options.expectedVersion !== undefined) assertPositiveInteger(options.expectedVersion, "expectedVersion");
  assertLimit(options.limit);
}

export function assertTouch(id: string, { idleMs }: TouchOptions): void {
  assertId(id);
  assertDuration(idleMs, "idleMs");
}

export function assertSweep({ limit }: SweepOptions): void {
  assertPositiveInteger(limit, "limit");
}

export function assertScan({ batchSize }: ScanOptions): void {
  if (batchSize !== undefined) assertPositiveInteger(batchSize, "batchSize");
}

export function assertCall({ signal, timeoutMs, deadline }: StoreCallOptions): void {
  if (timeoutMs !== undefined) assertPositiveInteger(timeoutMs, "timeoutMs");
  if (deadline !== undefined && (typeof deadline !== "number" || Number.isNaN(deadline))) {
    throw invalidArgument("deadline", "a moment of performance.now()", describe(deadline));
  }
  if (signal !== undefined && typeof signal?.addEventListener !== "function") {
    throw invalidArgument("signal", "an AbortSignal", describe(signal));
  }
}

/** Throws for a value that is no id: another type, the empty string, more than 512 bytes, NUL, lone surrogates. */
export function assertId(id: unknown, name = "id"): asserts id is string {
  if (!isId(id)) {
    throw invalidArgument(name, `a string of 1 to ${maxIdBytes} bytes of well-formed UTF-8 without NUL`, shape(id));
  }
}

/** Whether a value may be an id, a user id or a namespace: a string of 1 to 512 bytes, well-formed, without NUL. */
export function isId(value: unknown): value is string {
  if (typeof value !== "string" || value.length === 0 || value.length > maxIdBytes) return false;
  // A UTF-16 unit becomes at most three bytes: short strings need no count.
  if (value.length * 3 > maxIdBytes && Buffer.byteLength(value) > maxIdBytes) return false;
  return !value.includes("\0") && value.isWellFormed();
}

function assertPayload(payload: unknown, maxPayloadBytes: number): asserts payload is string {
  if (typeof payload !== "string" || !payload.isWellFormed()) {
    throw invalidArgument("payload", "a well-formed string", shape(payload));
  }
  if (payload.length * 3 > maxPayloadBytes && Buffer.byteLength(payload) > maxPayloadBytes) {
    const bytes = Buffer.byteLength(payload);
    throw new SessionError(
      "PAYLOAD_TOO_LARGE",
      `@sojourn/core: a payload of ${bytes} bytes exceeds the ${maxPayloadBytes} bytes that this store holds`,
    );
  }
}

function assertDuration(ms: unknown, name: string): void {
  assertInteger(ms, name, 1, maxDurationMs, " milliseconds");
}

function assertInteger(value: unknown, name: string, least: number, most: number, unit = ""): void {
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) {
    throw invalidArgument(name, `an integer from ${least} to ${most}${unit}`, describe(value));
  }
}

function assertLimit(limit: SessionLimit | undefined): void {
  if (limit === undefined) return;
  assertPositiveInteger(limit.max, "limit.max");
  if (limit.whenReached !== "reject" && limit.whenReached !== "evictOldest") {
    throw invalidArgument("limit.whenReached", '"reject" or "evictOldest"', describe(limit.whenReached));
  }
}

function assertPositiveInteger(value: unknown, name: string): void {
  if (!Number.isSafeInteger(value) || (value as number) < 1) {
    throw invalidArgument(name, "a positive integer", describe(value));
  }
}

function invalidArgument(name: string, expectation: string, received: string): SessionError {
  return new SessionError(
    "INVALID_ARGUMENT",
    `@sojourn/core: argument "${name}" must be ${expectation}, received ${received}`,
  );
}

/** Describes a received value without showing it: a refused id may be a token passed by mistake. */
function shape(value: unknown): string {
  return typeof value === "string" ? `a string of ${value.length} characters` : describe(value);
}
