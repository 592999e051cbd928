import { type IoredisClient, isClusterClient, isIoredisClient, type RedisClient } from "./client.js";
import { connectTimeout } from "./client-source.js";
import type { NodeRedisClient } from "./node-redis.js";
import type { OpenClient } from "./owned-client.js";

/*
 * The settings under which a client of each library sends a command once, or not at all: it does not reconnect, keeps no
 * queue, and reports at once when its connection breaks.
 */

/** For `Redis` of ioredis and iovalkey. */
function ioredisSettings(timeoutMs: number): object {
  return {
    lazyConnect: true,
    retryStrategy: () => null,
    reconnectOnError: null,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    enableAutoPipelining: false,
    monitor: false,
    connectTimeout: connectTimeout(timeoutMs),
    // The guard has the one timer of a command.
    commandTimeout: undefined,
    socketTimeout: undefined,
    // Sentinels tell of a failover: without that, a client writes to the old master until that one is stopped.
    failoverDetector: true,
    sentinelRetryStrategy: null,
    sentinelCommandTimeout: connectTimeout(timeoutMs),
  };
}

/** For `Cluster` of ioredis and iovalkey. It finds its nodes again by itself, but sends no command a second time. */
function clusterSettings(timeoutMs: number, own: unknown): object {
  const redisOptions = typeof own === "object" && own !== null && "redisOptions" in own ? own.redisOptions : undefined;
  return {
    lazyConnect: true,
    clusterRetryStrategy: null,
    clusterNodeRetryStrategy: null,
    // After a broken connection `Cluster` sends the command again, unless this is 0.
    retryDelayOnFailover: 0,
    enableOfflineQueue: true,
    enableAutoPipelining: false,
    slotsRefreshTimeout: connectTimeout(timeoutMs),
    redisOptions: {
      // iovalkey replaces the whole object, and would lose password and TLS.
      ...(redisOptions as object | undefined),
      autoResendUnfulfilledCommands: false,
      enableAutoPipelining: false,
      maxRetriesPerRequest: 0,
      connectTimeout: connectTimeout(timeoutMs),
      commandTimeout: undefined,
      // Each node has a connection of its own: a silent one is dropped without the others.
      socketTimeout: timeoutMs,
    },
  };
}

/** Returns a new client like the given one, with safe settings. It is connecting. */
export async function duplicate(client: RedisClient, timeoutMs: number): Promise<OpenClient> {
  if (!isIoredisClient(client)) return openNodeRedis(client, timeoutMs);
  // The types of both libraries differ too much for one structural type of `duplicate`; the result is of the same kind.
  if (isClusterClient(client)) {
    const copy = client.duplicate?.([], clusterSettings(timeoutMs, client.options)) as IoredisClient;
    return openIoredis(copy, undefined);
  }
  const { db }: { db?: unknown } = client.options ?? {};
  const copy = (await client.duplicate?.(ioredisSettings(timeoutMs))) as IoredisClient;
  return openIoredis(copy, Number(db) || undefined);
}

/** Connects a client of ioredis. It never keeps the process alive: a command under way does, by its timer. */
function openIoredis(client: IoredisClient, database: number | undefined): OpenClient {
  let lastError: unknown;
  client.on?.("error", (error?: unknown) => {
    lastError = error;
  });
  client.on?.("+node", (added?: unknown) => {
    // Each node of a `Cluster` is a client of its own.
    const node = added as IoredisClient;
    node.on?.("connect", () => node.stream?.unref());
  });
  const connect = async (): Promise<void> => {
    try {
      await client.connect?.();
      client.stream?.unref();
      // ioredis has selected it, but ignores that the server may have refused, and would go on in database 0.
      if (database !== undefined) await client.callBuffer("SELECT", [database]);
    } catch (error) {
      throw reasonOf(lastError) ?? error;
    }
  };
  return {
    client,
    connected: connect(),
    close: () => {
      client.disconnect?.();
      // `disconnect` would wait two seconds for a silent server.
      client.stream?.destroy();
    },
  };
}

/** Returns the error of a node in place of "Failed to refresh slots cache". */
function reasonOf(error: unknown): unknown {
  const { lastNodeError }: { lastNodeError?: unknown } = (error as object | undefined) ?? {};
  return lastNodeError ?? error;
}

function openNodeRedis(original: NodeRedisClient, timeoutMs: number): OpenClient {
  const { options } = original;
  const settings = {
    disableOfflineQueue: true,
    socket: {
      ...options?.socket,
      reconnectStrategy: false,
      connectTimeout: connectTimeout(timeoutMs),
      socketTimeout: 0,
    },
  };
  // Of the same class, which the structural type cannot say.
  const client = original.duplicate(settings) as NodeRedisClient;
  client.on("error", () => {});
  client.unref();
  return {
    client,
    connected: client.connect().then(() => {}),
    close: () => {
      if (client.isOpen) client.destroy();
    },
  };
}
