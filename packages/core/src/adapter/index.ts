export { aliasPrefix, isAliasId } from "../contract/alias.js";
export type { BusListener, BusMessage, BusState, SessionBus } from "../contract/bus.js";
export type { CallOptions, StoreCallOptions } from "../contract/call.js";
export { type Clock, systemClock } from "../contract/clock.js";
export { type Duration, durationMs } from "../contract/duration.js";
export {
  describe,
  invalidOption,
  isSessionError,
  refuseUnknownOptions,
  type SessionDataIssue,
  SessionError,
  type SessionErrorCode,
  type SessionErrorDetails,
} from "../contract/errors.js";
export { type OptionsShape, requireOptions } from "../contract/require-options.js";
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
} from "../contract/store.js";
export { defaultTimeoutMs, withTimeout } from "../contract/timeout.js";
export {
  assertCall,
  assertChange,
  assertId,
  assertNewSession,
  assertScan,
  assertSweep,
  assertTouch,
  isId,
  maxDurationMs,
  maxIdBytes,
} from "../contract/validate.js";
export { announceWrites } from "./announce-writes.js";
export { BusListeners } from "./bus-listeners.js";
export { decodeBusMessage, encodeBusMessage, WaitingMessages } from "./bus-messages.js";
export { decorate, StoreDecorator } from "./decorate.js";
export type {
  Answer,
  Batch,
  BatchLimits,
  Call,
  ErrorContext,
  Page,
  Read,
  StoreDriver,
  Touch,
  Write,
  WriteOutcome,
} from "./driver.js";
export { DriverStore, defineStore } from "./driver-store.js";
export { type GatheringSocket, gatherWrites } from "./gather-writes.js";
export { guardStore, isGuarded } from "./guard-store.js";
export { KeyedQueue } from "./keyed-queue.js";
export { byAge, changedRecord, idsToEvict, newRecord, touchedRecord } from "./records.js";
export { ServerClock } from "./server-clock.js";
export {
  askForCredentials,
  assertUrlOptions,
  type Credentials,
  type CredentialsFunction,
  invalidUrl,
} from "./url-options.js";
