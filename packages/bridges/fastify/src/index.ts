export type { Callback } from "@sojourn/core/bridge";
export type { SessionDraft } from "./draft.js";
export {
  type DestroyByUserInput,
  FastifySessionStore,
  type FastifySessionStoreOptions,
} from "./fastify-session-store.js";
export type { SojournSessionOptions } from "./options.js";
export { sojournSession } from "./plugin.js";
export { type RegenerateInput, RequestSession, type UserSession } from "./request-session.js";
export { type SessionOf, sessionOf } from "./session-loader.js";
