export type { MemcachedStoreOptions } from "./options.js";
export { MemcachedStore } from "./store.js";
export type { MemjsClient, MemjsResponse, MemjsServer, MemjsSocket } from "./wire.js";
