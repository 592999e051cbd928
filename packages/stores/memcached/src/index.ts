export type { MemjsClient, MemjsResponse, MemjsServer, MemjsSocket } from "./memjs.js";
export type { MemcachedDriverOptions, MemcachedStoreOptions, MemcachedUrlOptions } from "./options.js";
export { MemcachedStore } from "./store.js";
