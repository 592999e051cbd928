import { type GatheringSocket, gatherWrites } from "@sojourn/core/adapter";
import { type NodeRedisClient, sendByNodeRedis } from "./node-redis.js";

/** The part of a client that a store uses. Clients of ioredis, iovalkey and node-redis fit as they are. */
export type RedisClient = IoredisClient | NodeRedisClient;

/** `Redis` and `Cluster` of ioredis 5 and 6 and of iovalkey. */
export interface IoredisClient {
  /** Sends one command and answers with Buffers in place of strings. */
  callBuffer(command: string, args: (string | Buffer | number)[]): Promise<unknown>;
  /** Returns a function that sends one command, called upon the client. */
  createBuiltinCommand?(command: string): {
    buffer: (this: IoredisClient, args: (string | Buffer | number)[]) => unknown;
  };
  /** `Redis` takes options, `Cluster` takes nodes and options. */
  duplicate?(nodesOrOptions?: object, options?: object): unknown;
  connect?(): Promise<unknown>;
  disconnect?(reconnect?: boolean): void;
  on?(event: string, listener: (...args: unknown[]) => void): unknown;
  off?(event: string, listener: (...args: unknown[]) => void): unknown;
  readonly isCluster?: boolean;
  readonly options?: object;
  /** `"ready"` when it can send. */
  readonly status?: string;
  /** The socket, once there is one. */
  readonly stream?: ClientSocket | undefined;
}

interface ClientSocket extends GatheringSocket {
  readonly writable: boolean;
  destroy(): unknown;
  unref(): unknown;
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

/** Whether the client connects by TLS. */
export function isEncrypted({ options }: RedisClient): boolean {
  const settings: { tls?: unknown; redisOptions?: { tls?: unknown }; socket?: { tls?: unknown } } = options ?? {};
  return Boolean(settings.tls ?? settings.redisOptions?.tls ?? settings.socket?.tls);
}

/** Whether the client would write a command to its connection now, and keep it in no queue. */
export function canSend(client: RedisClient): boolean {
  if (!isIoredisClient(client)) return client.isReady;
  const { status, stream } = client;
  return (status === "ready" || status === undefined) && (stream === undefined || stream.writable);
}

/**
 * Sends one command.
 *
 * By itself also where ioredis pipelines automatically: `callBuffer` would then lose the command's name, and the process would
 * end by that error.
 */
export function send(client: RedisClient, command: string, args: (string | Buffer | number)[]): Promise<unknown> {
  if (!isIoredisClient(client)) return sendByNodeRedis(client, command, args);
  gatherWrites(client.stream);
  const { enableAutoPipelining }: { enableAutoPipelining?: unknown } = client.options ?? {};
  if (!enableAutoPipelining || !client.createBuiltinCommand) return client.callBuffer(command, args);
  return Promise.resolve(client.createBuiltinCommand(command).buffer.call(client, args));
}
