import { decodeContent, type SessionCodec } from "./codec.js";
import { describe, SessionError } from "./errors.js";
import { deepFreeze } from "./freeze.js";
import type { SessionRecord } from "./store.js";

/** What an application may note about where a session comes from, shown by "active sessions" pages. JSON values only. */
export interface SessionMetadata {
  readonly ip?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly [key: string]: unknown;
}

/** What a payload holds. */
export interface SessionContent {
  readonly data: object;
  readonly metadata: SessionMetadata;
  /** The session's own idle timeout, where it differs from the manager's. */
  readonly idleMs?: number | undefined;
}

/** A record with its content decoded, deeply frozen, so that any number of readers may share it. */
export interface SessionState extends Omit<SessionRecord, "payload"> {
  readonly content: SessionContent;
  /** This process's monotonic clock (`performance.now()`) when the store answered. */
  readonly readAt: number;
}

/** @throws SessionError `ENCODE` when data or metadata is not an object */
export function assertContent({ data, metadata }: SessionContent): void {
  assertObject(data, "data");
  assertObject(metadata, "metadata");
}

export async function decodeState(codec: SessionCodec, record: SessionRecord): Promise<SessionState> {
  const readAt = performance.now();
  const { payload, ...rest } = record;
  const content = await decodeContent(codec, payload, record);
  if (!isContent(content)) {
    throw new SessionError("DECODE", `@sojourn/core: the payload of session ${record.id} is not a session's content`);
  }
  return { ...rest, content: deepFreeze(content), readAt };
}

function isContent(value: unknown): value is SessionContent {
  return isObject(value) && "data" in value && isObject(value.data) && "metadata" in value && isObject(value.metadata);
}

function assertObject(value: unknown, name: string): void {
  if (isObject(value)) return;
  throw new SessionError("ENCODE", `@sojourn/core: session ${name} must be an object, received ${typeOf(value)}`);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Data may be a secret: a refused value is named by its type. */
function typeOf(value: unknown): string {
  return typeof value === "string" ? "a string" : typeof value === "number" ? "a number" : describe(value);
}
