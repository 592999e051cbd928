import { type GatheringSocket, gatherWrites } from "@sojourn/core/adapter";
import { type NodeRedisClient, sendByNodeRedis } from "./node-redis.js";

/** As much of a client as a store uses. Those of ioredis, iovalkey and node-redis fit as they are. */
export type RedisClient = IoredisClient | NodeRedisClient;

/** `Redis` and `Cluster` of ioredis 5 and 6 and of iovalkey. */
export interface IoredisClient {
  /** Sends one command and answers with Buffers in place of strings. */
  callBuffer(command: string, args: (string | Buffer | number)[]): Promise<unknown>;
  /** A function that sends one command, called upon the client. */
  createBuiltinCommand?(command: string): {
    buffer: (this: IoredisClient, args: (string | Buffer | number)[]) => unknown;
  };
  readonly isCluster?: boolean;
  readonly options?: object;
  /** The socket, once there is one. */
  readonly stream?: GatheringSocket | undefined;
}

/** A client of a Redis Cluster: it sends each command to the node that holds the key. */
export interface RedisClusterClient extends IoredisClient {
  readonly isCluster: true;
  nodes(role: "master"): IoredisClient[];
}

export function isIoredisClient(client: RedisClient): client is IoredisClient {
  return "callBuffer" in client;
}

export function isClusterClient(client: RedisClient): client is RedisClusterClient {
  return "isCluster" in client && client.isCluster === true && "nodes" in client && typeof client.nodes === "function";
}

/**
 * Sends one command, by itself also where ioredis pipelines automatically: `callBuffer` would then lose the command's
 * name, and the process die of it.
 *
 * @param timeoutMs - how long it may wait for a connection, where the client can take it back
 */
export function send(
  client: RedisClient,
  command: string,
  args: (string | Buffer | number)[],
  timeoutMs: number,
): Promise<unknown> {
  if (!isIoredisClient(client)) return sendByNodeRedis(client, command, args, timeoutMs);
  gatherWrites(client.stream);
  const { enableAutoPipelining }: { enableAutoPipelining?: unknown } = client.options ?? {};
  if (!enableAutoPipelining || !client.createBuiltinCommand) return client.callBuffer(command, args);
  return Promise.resolve(client.createBuiltinCommand(command).buffer.call(client, args));
}
