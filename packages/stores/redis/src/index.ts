export { RedisBus, type RedisBusOptions, type RedisBusUrlOptions } from "./bus.js";
export type { IoredisClient, RedisClient, RedisClusterClient } from "./client.js";
export type { RedisDriverOptions } from "./from-url.js";
export type { NodeRedisClient } from "./node-redis.js";
export type { RedisStoreOptions } from "./options.js";
export { RedisStore, type RedisUrlOptions } from "./store.js";
