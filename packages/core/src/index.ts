export { type Clock, systemClock } from "./clock.js";
export {
  describe,
  invalidOption,
  isSessionError,
  refuseUnknownOptions,
  SessionError,
  type SessionErrorCode,
  type SessionErrorDetails,
} from "./errors.js";
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
export { defaultTimeoutMs, withTimeout } from "./timeout.js";
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
