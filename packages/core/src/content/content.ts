import { describe, SessionError } from "../contract/errors.js";
import type { SessionRecord } from "../contract/store.js";
import { type Authentication, isAuthentication } from "./authentication.js";
import { type BoundClient, isBoundClient } from "./bound-client.js";

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
  /** Who has proven to be the session's user, and when. */
  readonly authenticated?: Authentication | undefined;
  /**
   * The id under which the session was given its user in place, without a new token: whoever planted the token of that id
   * knows it still, so that a regeneration leaves it no grace. Kept where there is a grace.
   */
  readonly gainedUserAs?: string | undefined;
  /** The client that the session is bound to. */
  readonly boundTo?: BoundClient | undefined;
  /** Which version of the application's schema the data is of, in a payload. Absent: 1. */
  readonly schemaVersion?: number | undefined;
}

/** A record with its content decoded, deeply frozen, so that any number of readers may share it. */
export interface SessionState extends Omit<SessionRecord, "payload"> {
  readonly content: SessionContent;
  /** This process's monotonic clock (`performance.now()`) when the store answered. */
  readonly readAt: number;
}

/** The store's clock at this moment: what it said when the session was read, and the time since, with its fractions. */
export function storeNow({ now, readAt }: SessionState): number {
  return now + performance.now() - readAt;
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

/** The state after a write that the store has just answered: what was sent is not decoded again. */
export function writtenState(record: SessionRecord, content: SessionContent): SessionState {
  return stateOf(record, content, performance.now());
}

/** Field by field: to leave one out by a rest pattern costs V8 ten times as much as all else in a read of a small session. */
export function stateOf(record: SessionRecord, content: SessionContent, readAt: number): SessionState {
  const { id, userId, version, createdAt, lastActiveAt, expiresAt, endsAt, now } = record;
  return { id, userId, version, createdAt, lastActiveAt, expiresAt, endsAt, now, content, readAt };
}

/** When the user of a session has last proven who they are, by the store's clock. */
export function authenticatedAt({ userId, createdAt, content: { authenticated } }: SessionState): number | undefined {
  if (authenticated === undefined || authenticated.userId !== userId) return undefined;
  return createdAt + authenticated.afterMs;
}

/** Milliseconds until a session ends if it is not used, rounded up. */
export function remainingMs(state: SessionState): number {
  return Math.ceil(state.expiresAt - storeNow(state));
}

export function isContent(value: unknown): value is SessionContent {
  if (!isObject(value)) return false;
  const content: { readonly [Key in keyof SessionContent]?: unknown } = value;
  const { data, metadata, idleMs, authenticated, gainedUserAs, boundTo, schemaVersion } = content;
  if (!isObject(data) || !isObject(metadata)) return false;
  if (authenticated !== undefined && !(isObject(authenticated) && isAuthentication(authenticated))) return false;
  if (gainedUserAs !== undefined && typeof gainedUserAs !== "string") return false;
  if (boundTo !== undefined && !(isObject(boundTo) && isBoundClient(boundTo))) return false;
  return isPositiveOrAbsent(idleMs) && isPositiveOrAbsent(schemaVersion);
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

/** Data may be a secret: a refused value is named by its type. */
function typeOf(value: unknown): string {
  return typeof value === "string" ? "a string" : typeof value === "number" ? "a number" : describe(value);
}
