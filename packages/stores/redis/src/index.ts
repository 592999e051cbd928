export type { IoredisClient, RedisClient, RedisClusterClient } from "./client.js";
export type { NodeRedisClient } from "./node-redis.js";
export type { RedisStoreOptions } from "./options.js";
export { RedisStore } from "./store.js";
