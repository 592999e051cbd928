export type { RegenerateInput, SessionDraft, UserSession } from "@sojourn/core/bridge";
export type { CookieJar, CookieJarAttributes } from "./cookie-jar.js";
export type { WebRequest } from "./framework.js";
export {
  RequestSession,
  type SessionOf,
  type WebSessions,
  type WebSessionsOptions,
  webSessions,
} from "./web-sessions.js";
