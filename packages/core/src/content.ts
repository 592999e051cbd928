import { type CodecContext, decodeContent, type SessionCodec } from "./codec.js";
import { describe, SessionError } from "./errors.js";
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

/** Content ready to be sent, and as every reader will get it. */
export interface EncodedContent {
  readonly payload: string;
  readonly content: SessionContent;
}

/** @throws SessionError `ENCODE` when data or metadata is not an object */
export function assertContent({ data, metadata }: SessionContent): void {
  assertObject(data, "data");
  assertObject(metadata, "metadata");
}

/** @throws SessionError `DECODE` */
export async function decodeState(codec: SessionCodec, record: SessionRecord): Promise<SessionState> {
  const readAt = performance.now();
  const { payload, ...rest } = record;
  return { ...rest, content: await readContent(codec, payload, record), readAt };
}

/** The state after a write that the store has just answered: what was sent is not decoded again. */
export function writtenState({ payload, ...rest }: SessionRecord, content: SessionContent): SessionState {
  return { ...rest, content, readAt: performance.now() };
}

/** @throws SessionError `DECODE` */
export async function readContent(
  codec: SessionCodec,
  payload: string,
  context: CodecContext,
): Promise<SessionContent> {
  const content = await decodeContent(codec, payload, context);
  if (isContent(content)) return content;
  throw new SessionError("DECODE", `@sojourn/core: the payload of session ${context.id} is not a session's content`);
}

function isContent(value: unknown): value is SessionContent {
  if (!isObject(value) || !("data" in value && isObject(value.data))) return false;
  if (!("metadata" in value && isObject(value.metadata))) return false;
  return (
    !("idleMs" in value) ||
    value.idleMs === undefined ||
    (Number.isSafeInteger(value.idleMs) && Number(value.idleMs) > 0)
  );
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
