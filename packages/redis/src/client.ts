import { type GatheringSocket, gatherWrites } from "@sojourn/core";

/**
 * As much of a client as a store uses. `Redis` and `Cluster` of ioredis 5 and 6 and of iovalkey fit as they are.
 */
export interface RedisClient {
  /** Sends one command and answers with Buffers in place of strings. */
  callBuffer(command: string, args: (string | Buffer | number)[]): Promise<unknown>;
  /** A function that sends one command, called upon the client. */
  createBuiltinCommand?(command: string): {
    buffer: (this: RedisClient, args: (string | Buffer | number)[]) => unknown;
  };
  readonly isCluster?: boolean;
  readonly options?: object;
  /** The socket, once there is one. */
  readonly stream?: GatheringSocket | undefined;
}

/** A client of a Redis Cluster: it sends each command to the node that holds the key. */
export interface RedisClusterClient extends RedisClient {
  readonly isCluster: true;
  nodes(role: "master"): RedisClient[];
}

export function isClusterClient(client: RedisClient): client is RedisClusterClient {
  return client.isCluster === true && "nodes" in client && typeof client.nodes === "function";
}

/**
 * Sends one command, by itself also where the client pipelines automatically: `callBuffer` would then lose the command's
 * name, and the process die of it.
 */
export function send(client: RedisClient, command: string, args: (string | Buffer | number)[]): Promise<unknown> {
  gatherWrites(client.stream);
  const { enableAutoPipelining }: { enableAutoPipelining?: unknown } = client.options ?? {};
  if (!enableAutoPipelining || !client.createBuiltinCommand) return client.callBuffer(command, args);
  return Promise.resolve(client.createBuiltinCommand(command).buffer.call(client, args));
}
