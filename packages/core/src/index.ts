export type { CallOptions } from "./abort.js";
export type { AddressPrefixes, BindingOptions, BoundClient } from "./binding.js";
export { answer, type Callback } from "./bridge/callback.js";
export {
  CookieSessions,
  type CookieSessionsOptions,
  type FrameworkObjects,
  type LoadedSession,
  type StoredData,
} from "./bridge/cookie-sessions.js";
export type { CookieData, StoredCookie } from "./bridge/session-cookie.js";
export {
  type ResolvedStoreBridgeOptions,
  resolveStoreBridgeOptions,
  type StoreBridgeOptions,
} from "./bridge/store-bridge-options.js";
export type { Client, ClientOptions } from "./client.js";
export { type Clock, systemClock } from "./clock.js";
export { type CodecContext, jsonCodec, type SessionCodec } from "./codec.js";
export type { SessionMetadata } from "./content.js";
export type { DetectionOptions } from "./detection.js";
export { type Duration, durationMs } from "./duration.js";
export { type EncryptedCodecOptions, type EncryptionWarning, encryptedCodec } from "./encrypted-codec.js";
export {
  describe,
  invalidOption,
  isSessionError,
  refuseUnknownOptions,
  type SessionDataIssue,
  SessionError,
  type SessionErrorCode,
  type SessionErrorDetails,
} from "./errors.js";
export type {
  ConflictReason,
  DestroyReason,
  SecurityEvent,
  SecurityKind,
  SessionEvents,
  SessionListener,
} from "./events.js";
export type { DeepReadonly } from "./freeze.js";
export { type GatheringSocket, gatherWrites } from "./gather-writes.js";
export type { EncryptionKey, EncryptionKeyProvider } from "./keyring.js";
export { type DestroyOthersInput, SessionManager, type TokenSession } from "./manager.js";
export type {
  ConflictPolicy,
  SessionManagerOptions,
  SweepSchedule,
  UnreadablePolicy,
  UpgradeFunction,
} from "./options.js";
export { ReadBatch, type ReadBatchOptions } from "./read-batch.js";
export {
  type SaveOptions,
  type SaveStatus,
  Session,
  type SessionData,
  type SessionInfo,
  type TouchInput,
  type UpdateFunction,
  type WriteOptions,
} from "./session.js";
export {
  type CookieAttributes,
  type CookieToSend,
  SessionCookie,
  type SessionCookieOptions,
  type SessionToSend,
} from "./session-cookie.js";
export {
  type CreateInput,
  type DestroyByUserInput,
  type GetOptions,
  type RenameInput,
  SessionsById,
} from "./sessions-by-id.js";
export type { OperationStatistics, SessionStatistics } from "./statistics.js";
export type {
  CreateOptions,
  CreateResult,
  DestroyByUserOptions,
  EndedSession,
  NewSession,
  ReadManyOptions,
  RenameOptions,
  RenameResult,
  ScanOptions,
  SessionChange,
  SessionCounts,
  SessionLimit,
  SessionRecord,
  SessionStore,
  StoreCapabilities,
  SweepOptions,
  TouchOptions,
  UpdateOptions,
  UpdateResult,
} from "./store.js";
export { Sweeper, type SweeperOptions } from "./sweeper.js";
export { defaultTimeoutMs, withTimeout } from "./timeout.js";
export { isToken, tokenToId } from "./tokens.js";
export type { ExportedSession, UnreadableSession, UserExport } from "./user-export.js";
export {
  assertChange,
  assertId,
  assertNewSession,
  assertScan,
  assertSweep,
  assertTouch,
  isId,
  maxDurationMs,
  maxIdBytes,
} from "./validate.js";
