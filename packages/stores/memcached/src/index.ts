export type { MemjsClient, MemjsResponse, MemjsServer, MemjsSocket } from "./memjs.js";
export type { MemcachedStoreOptions } from "./options.js";
export { MemcachedStore } from "./store.js";
