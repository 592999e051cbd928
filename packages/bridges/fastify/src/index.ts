export type { Callback, RegenerateInput, SessionDraft, UserSession } from "@sojourn/core/bridge";
export {
  type DestroyByUserInput,
  FastifySessionStore,
  type FastifySessionStoreOptions,
} from "./fastify-session-store.js";
export type { FastifySessionsOptions } from "./options.js";
export { fastifySessions } from "./plugin.js";
export { RequestSession, type SessionOf, sessionOf } from "./request-sessions.js";
