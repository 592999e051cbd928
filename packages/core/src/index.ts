export { announceWrites } from "./adapter/announce-writes.js";
export { MemoryBus } from "./adapter/memory-bus.js";
export { type CodecContext, jsonCodec, type SessionCodec } from "./content/codec.js";
export type { SessionMetadata } from "./content/content.js";
export { type EncryptedCodecOptions, type EncryptionWarning, encryptedCodec } from "./content/encrypted-codec.js";
export type { DeepReadonly } from "./content/freeze.js";
export type { EncryptionKey, EncryptionKeyProvider } from "./content/keyring.js";
export type { SessionData, UpgradeFunction } from "./content/session-data.js";
export type { UnreadablePolicy } from "./content/unreadable.js";
export type { BusMessage, SessionBus } from "./contract/bus.js";
export type { CallOptions } from "./contract/call.js";
export type { Clock } from "./contract/clock.js";
export type { Duration } from "./contract/duration.js";
export {
  isSessionError,
  type SessionDataIssue,
  SessionError,
  type SessionErrorCode,
} from "./contract/errors.js";
export type {
  EndedSession,
  SessionCounts,
  SessionLimit,
  SessionStore,
} from "./contract/store.js";
export type { UserId } from "./contract/user-id.js";
export type { BindingOptions } from "./sessions/binding.js";
export type { Client } from "./sessions/client.js";
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
  CreateArguments,
  CreateInput,
  DestroyByUserInput,
  GetOptions,
  RenameInput,
  SaveOptions,
  TouchInput,
  UpdateFunction,
  WriteOptions,
} from "./sessions/inputs.js";
export { SessionManager, type TokenSession } from "./sessions/manager.js";
export type {
  SessionManagerOptions,
  SweepSchedule,
} from "./sessions/options.js";
export type { ConflictPolicy } from "./sessions/policies.js";
export { type SaveStatus, Session, type SessionInfo } from "./sessions/session.js";
export type { LocatedSession, SessionsById } from "./sessions/sessions-by-id.js";
export type { SessionStatistics } from "./sessions/statistics.js";
export { Sweeper, type SweeperOptions } from "./sessions/sweeper.js";
export { tokenToId } from "./sessions/tokens.js";
export type { ExportedSession, UnreadableSession, UserExport } from "./sessions/user-export.js";
