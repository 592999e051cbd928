import { backend as memcached } from "./memcached.mjs";
import { backend as memory } from "./memory.mjs";
import { backend as mongodb } from "./mongodb.mjs";
import { backend as mysql } from "./mysql.mjs";
import { backend as postgres } from "./postgres.mjs";
import { backend as redis } from "./redis.mjs";

export const backends = { redis, postgres, mysql, memcached, mongodb, memory };
