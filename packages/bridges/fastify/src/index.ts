export type { Callback, RegenerateInput, SessionDraft, UserSession } from "@sojourn/core/bridge";
export type { EagerSession } from "./eager-session.js";
export {
  type DestroyByUserInput,
  FastifySessionStore,
  type FastifySessionStoreOptions,
} from "./fastify-session-store.js";
export type { FastifySessionsOptions } from "./options.js";
export { fastifySessions } from "./plugin.js";
export { RequestSession } from "./request-session.js";
export { type EagerSessionOf, type SessionOf, sessionOf } from "./request-sessions.js";
