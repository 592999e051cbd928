export type { MemcachedStoreOptions } from "./options.js";
export { MemcachedStore } from "./store.js";
export type { MemjsClient, MemjsResponse, MemjsServer } from "./wire.js";
