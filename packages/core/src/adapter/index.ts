export type { CallOptions } from "../contract/abort.js";
export { type Clock, systemClock } from "../contract/clock.js";
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
} from "../contract/store.js";
export { defaultTimeoutMs, withTimeout } from "../contract/timeout.js";
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
} from "../contract/validate.js";
export { type GatheringSocket, gatherWrites } from "./gather-writes.js";
export { ReadBatch, type ReadBatchOptions } from "./read-batch.js";
