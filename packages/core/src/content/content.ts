import { describe, SessionError } from "../contract/errors.js";
import type { SessionRecord } from "../contract/store.js";
import { type Authentication, isAuthentication } from "./authentication.js";
import { type BoundClient, isBoundClient } from "./bound-client.js";

/** Notes of an application on the origin of a session, shown by "active sessions" pages. JSON values only. */
export interface SessionMetadata {
  readonly ip?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly [key: string]: unknown;
}

/** The decoded content of a payload. */
export interface SessionContent {
  readonly data: object;
  readonly metadata: SessionMetadata;
  /** The session's own idle timeout, where it differs from the manager's. */
  readonly idleMs?: number | undefined;
  /** The session's own absolute timeout, where it differs from the manager's. A later login starts it again. */
  readonly absoluteMs?: number | undefined;
  /** Whether the session's cookie outlives the browser. Absent: the cookie's own option decides. */
  readonly persistent?: boolean | undefined;
  /** The proof that the session's user has authenticated. */
  readonly authenticated?: Authentication | undefined;
  /**
   * The id of the session when it gained its user by `update` or `save`, without a new token. The token of that id may
   * have been planted before the login, so its regeneration gets no grace. Set only where there is a grace.
   */
  readonly gainedUserAs?: string | undefined;
  /** The client that the session is bound to. */
  readonly boundTo?: BoundClient | undefined;
  /** The version of the application's schema in which the data was written. Absent: 1. */
  readonly schemaVersion?: number | undefined;
}

/** A record with its content decoded and deeply frozen, so that readers can share it. */
export interface SessionState extends Omit<SessionRecord, "payload"> {
  readonly content: SessionContent;
  /** This process's monotonic clock (`performance.now()`) when the store answered. */
  readonly readAt: number;
}

/**
 * Returns the store's clock at this moment: its value when the session was read, plus the time since, in fractions of a
 * millisecond.
 */
export function storeNow({ now, readAt }: SessionState): number {
  return now + performance.now() - readAt;
}

/** A payload to send, and the content that a reader will decode from it. */
export interface EncodedContent {
  readonly payload: string;
  readonly content: SessionContent;
}

/** @throws SessionError `ENCODE` when data or metadata is not an object */
export function assertContent({ data, metadata }: SessionContent): void {
  assertObject(data, "data");
  assertObject(metadata, "metadata");
}

/** Returns the state after a write that the store has just answered. The payload sent is not decoded again. */
export function writtenState(record: SessionRecord, content: SessionContent): SessionState {
  return stateOf(record, content, performance.now());
}

/**
 * Makes a state from a record and its content. It copies field by field: a rest pattern costs V8 ten times as much as
 * the rest of a read of a small session.
 */
export function stateOf(record: SessionRecord, content: SessionContent, readAt: number): SessionState {
  const { id, userId, version, createdAt, lastActiveAt, expiresAt, endsAt, now } = record;
  return { id, userId, version, createdAt, lastActiveAt, expiresAt, endsAt, now, content, readAt };
}

/** Returns the time of the last authentication of the session's user, by the store's clock. */
export function authenticatedAt({ userId, createdAt, content: { authenticated } }: SessionState): number | undefined {
  if (authenticated === undefined || authenticated.userId !== userId) return undefined;
  return createdAt + authenticated.afterMs;
}

/** Returns the milliseconds until the idle deadline of a session, rounded up. */
export function remainingMs(state: SessionState): number {
  return Math.ceil(state.expiresAt - storeNow(state));
}

export function isContent(value: unknown): value is SessionContent {
  if (!isObject(value)) return false;
  const content: { readonly [Key in keyof SessionContent]?: unknown } = value;
  const { data, metadata, authenticated, gainedUserAs, boundTo } = content;
  if (!isObject(data) || !isObject(metadata)) return false;
  if (authenticated !== undefined && !(isObject(authenticated) && isAuthentication(authenticated))) return false;
  if (gainedUserAs !== undefined && typeof gainedUserAs !== "string") return false;
  if (boundTo !== undefined && !(isObject(boundTo) && isBoundClient(boundTo))) return false;
  const { idleMs, absoluteMs, persistent, schemaVersion } = content;
  if (persistent !== undefined && typeof persistent !== "boolean") return false;
  return [idleMs, absoluteMs, schemaVersion].every(isPositiveOrAbsent);
}

function isPositiveOrAbsent(value: unknown): boolean {
  return value === undefined || (Number.isSafeInteger(value) && Number(value) > 0);
}

function assertObject(value: unknown, name: string): void {
  if (isObject(value)) return;
  throw new SessionError("ENCODE", `@sojourn/core: session ${name} must be an object, received ${typeOf(value)}`);
}

export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Data may be a secret: the message names the type of a refused value only. */
function typeOf(value: unknown): string {
  return typeof value === "string" ? "a string" : typeof value === "number" ? "a number" : describe(value);
}
