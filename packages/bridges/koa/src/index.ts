export type { RegenerateInput, SessionDraft, UserSession } from "@sojourn/core/bridge";
export {
  type EagerSessionOf,
  type KoaSessions,
  koaSessions,
  RequestSession,
  type SessionOf,
  sessionOf,
} from "./koa-sessions.js";
export type { KoaSessionsOptions } from "./options.js";
