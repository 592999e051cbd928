import { describe, SessionError } from "./errors.js";
import type {
  CreateOptions,
  NewSession,
  ScanOptions,
  SessionChange,
  SessionLimit,
  StoreCapabilities,
  SweepOptions,
  TouchOptions,
  UpdateOptions,
} from "./store.js";

/** Ids, user ids and namespaces are at most this long, in bytes of UTF-8. */
export const maxIdBytes = 512;
/** A hundred years: later deadlines leave the range that every backend can hold. */
export const maxDurationMs = 3_155_760_000_000;

/*
 * The checks that every adapter makes before it sends anything, so that the same input is refused everywhere in the same
 * words. One per verb of the contract.
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
  assertLimit(options.limit);
}

export function assertChange(
  change: SessionChange,
  options: UpdateOptions,
  { maxPayloadBytes }: StoreCapabilities,
): void {
  if (change.payload !== undefined) assertPayload(change.payload, maxPayloadBytes);
  if (change.userId !== undefined && change.userId !== null) assertId(change.userId, "userId");
  if (change.idleMs !== undefined) assertDuration(change.idleMs, "idleMs");
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

/** Refuses what no backend must ever see as an id: another type, nothing, more than 512 bytes, NUL, lone surrogates. */
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
  if (!Number.isSafeInteger(ms) || (ms as number) < 1 || (ms as number) > maxDurationMs) {
    throw invalidArgument(name, `an integer from 1 to ${maxDurationMs} milliseconds`, describe(ms));
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

/** Names what was received without showing it: an id that was refused may be a token in the wrong place. */
function shape(value: unknown): string {
  return typeof value === "string" ? `a string of ${value.length} characters` : describe(value);
}
