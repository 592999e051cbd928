export type { SessionDraft } from "./draft.js";
export type { SojournSessionOptions } from "./options.js";
export { sojournSession } from "./plugin.js";
export { type RegenerateInput, RequestSession, type UserSession } from "./request-session.js";
export { type SessionOf, sessionOf } from "./session-loader.js";
