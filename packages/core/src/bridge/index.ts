export type { SessionMetadata } from "../content/content.js";
export type { DeepReadonly } from "../content/freeze.js";
export type { SessionData } from "../content/session-data.js";
export type { CallOptions } from "../contract/call.js";
export { type Duration, durationMs } from "../contract/duration.js";
export {
  describe,
  invalidOption,
  isSessionError,
  refuseUnknownOptions,
  SessionError,
  type SessionErrorCode,
  type SessionErrorDetails,
} from "../contract/errors.js";
export type { UserId } from "../contract/user-id.js";
export type { Client } from "../sessions/client.js";
export type { CreateInput, RenameInput, UpdateFunction } from "../sessions/inputs.js";
export { SessionManager, type TokenSession } from "../sessions/manager.js";
export type { SessionManagerOptions } from "../sessions/options.js";
export { Session, type SessionInfo } from "../sessions/session.js";
export { isToken, tokenToId } from "../sessions/tokens.js";
export { type Callback, callbackify } from "./callbackify.js";
export type { SessionDraft } from "./draft.js";
export {
  ExpressStoreProtocol,
  type ExpressStoreProtocolOptions,
  type FrameworkObjects,
  type LoadedSession,
  type StoredData,
} from "./express-store-protocol.js";
export { ForeignSessions } from "./foreign-sessions.js";
export { type HeadHooks, holdHead, isHeadSent, type NodeResponse, setHeadHeader } from "./hold-head.js";
export { toHttpError, withHttpErrors } from "./http-errors.js";
export type { HttpFramework } from "./http-framework.js";
export { HttpSessions } from "./http-sessions.js";
export type { HttpSessionsOptions } from "./http-sessions-options.js";
export { LazySession } from "./lazy-session.js";
export { nodeHttp, whenClosed } from "./node-http.js";
export { type RequestProperty, resolveRequestProperty } from "./request-property.js";
export { type RegenerateInput, RequestSession, type UserSession } from "./request-session.js";
export {
  type CookieAttributes,
  type CookieToSend,
  SessionCookie,
  type SessionCookieOptions,
  type SessionToSend,
} from "./session-cookie.js";
export { loadedSessionKey, managerKey } from "./session-keys.js";
export {
  type ResolvedStoreBridgeOptions,
  resolveStoreBridgeOptions,
  type StoreBridgeOptions,
} from "./store-bridge-options.js";
export type { CookieData, StoredCookie } from "./stored-cookie.js";
