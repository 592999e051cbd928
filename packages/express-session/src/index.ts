export type { Callback } from "./callback.js";
export type { ExpressSessionStoreOptions, Request } from "./options.js";
export { type DestroyByUserInput, ExpressSessionStore } from "./store.js";
