export type { BoundClient } from "./content/bound-client.js";
export { type CodecContext, jsonCodec, type SessionCodec } from "./content/codec.js";
export type { SessionMetadata } from "./content/content.js";
export { type EncryptedCodecOptions, type EncryptionWarning, encryptedCodec } from "./content/encrypted-codec.js";
export type { DeepReadonly } from "./content/freeze.js";
export type { EncryptionKey, EncryptionKeyProvider } from "./content/keyring.js";
export type { SessionData, UpgradeFunction } from "./content/session-data.js";
export type { UnreadablePolicy } from "./content/unreadable.js";
export type { CallOptions, StoreCallOptions } from "./contract/call.js";
export { type Clock, systemClock } from "./contract/clock.js";
export { type Duration, durationMs } from "./contract/duration.js";
export {
  isSessionError,
  type SessionDataIssue,
  SessionError,
  type SessionErrorCode,
  type SessionErrorDetails,
} from "./contract/errors.js";
export type {
  CreateOptions,
  CreateResult,
  DestroyByUserOptions,
  EndedSession,
  NewSession,
  ReadManyOptions,
  ReadOptions,
  RenameOptions,
  RenameResult,
  ScanOptions,
  SessionChange,
  SessionCounts,
  SessionLimit,
  SessionRecord,
  SessionRename,
  SessionStore,
  StoreCapabilities,
  SweepOptions,
  TouchOptions,
  UpdateOptions,
  UpdateResult,
} from "./contract/store.js";
export type { AddressPrefixes, BindingOptions } from "./sessions/binding.js";
export type { Client, ClientOptions } from "./sessions/client.js";
export type { DetectionOptions } from "./sessions/detection.js";
export type {
  ConflictReason,
  DestroyReason,
  SecurityEvent,
  SecurityKind,
  SessionEvents,
  SessionListener,
} from "./sessions/events.js";
export type {
  CreateInput,
  DestroyByUserInput,
  GetOptions,
  RenameInput,
} from "./sessions/inputs.js";
export { type DestroyOthersInput, SessionManager, type TokenSession } from "./sessions/manager.js";
export type {
  SessionManagerOptions,
  SweepSchedule,
} from "./sessions/options.js";
export type { ConflictPolicy } from "./sessions/policies.js";
export {
  type SaveOptions,
  type SaveStatus,
  Session,
  type SessionInfo,
  type TouchInput,
  type UpdateFunction,
  type WriteOptions,
} from "./sessions/session.js";
export { SessionsById } from "./sessions/sessions-by-id.js";
export type { OperationStatistics, SessionStatistics } from "./sessions/statistics.js";
export { Sweeper, type SweeperOptions } from "./sessions/sweeper.js";
export { isToken, tokenToId } from "./sessions/tokens.js";
export type { ExportedSession, UnreadableSession, UserExport } from "./sessions/user-export.js";
