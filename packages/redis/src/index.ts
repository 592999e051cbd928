export type { RedisClient, RedisClusterClient } from "./client.js";
export type { RedisStoreOptions } from "./options.js";
export { RedisStore } from "./store.js";
