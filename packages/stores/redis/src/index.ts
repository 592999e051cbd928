export type { IoredisClient, RedisClient, RedisClusterClient } from "./client.js";
export type { IoredisOptions, RedisCredentials } from "./from-url.js";
export type { NodeRedisClient } from "./node-redis.js";
export type { RedisStoreOptions } from "./options.js";
export { RedisStore, type RedisStoreFromUrlOptions } from "./store.js";
