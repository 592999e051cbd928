import { type IoredisClient, isClusterClient, isIoredisClient, type RedisClient } from "../src/client.js";
import type { NodeRedisClient } from "../src/node-redis.js";

export type Send = () => Promise<unknown>;

/**
 * Returns a client whose every command goes through `around`, which may delay it, count it or never send it.
 *
 * @param isHeld - `around` holds commands for longer than the timeout of a store. To the store the connection looks silent then,
 * and the store must not drop it, as other stores use it too
 */
export function wrapClient<T extends RedisClient>(
  client: T,
  around: (command: string, send: Send) => Promise<unknown>,
  isHeld = false,
): T {
  // The result has the members of RedisClient, and a store uses no others.
  return (isIoredisClient(client) ? wrapIoredis(client, around, isHeld) : wrapNodeRedis(client, around)) as T;
}

function wrapNodeRedis(
  client: NodeRedisClient,
  around: (command: string, send: Send) => Promise<unknown>,
): NodeRedisClient {
  return {
    sendCommand: (args, options) => around(String(args[0]), () => client.sendCommand(args, options)),
    get isOpen() {
      return client.isOpen;
    },
    get isReady() {
      return client.isReady;
    },
    ...(client.options === undefined ? {} : { options: client.options }),
    connect: () => client.connect(),
    duplicate: (options) => wrapNodeRedis(client.duplicate(options) as NodeRedisClient, around),
    destroy: () => client.destroy(),
    unref: () => client.unref(),
    on: (event, listener) => client.on(event, listener),
    off: (event, listener) => client.off(event, listener),
    isPubSubActive: false,
    withTypeMapping: (mapping) => client.withTypeMapping(mapping),
  };
}

function wrapIoredis(
  client: IoredisClient,
  around: (command: string, send: Send) => Promise<unknown>,
  isHeld: boolean,
): IoredisClient {
  return {
    callBuffer: (command, args) => around(command, () => client.callBuffer(command, args)),
    duplicate: (...args) => wrapClient(client.duplicate?.(...args) as IoredisClient, around),
    connect: async () => client.connect?.(),
    disconnect: (reconnect) => (isHeld ? undefined : client.disconnect?.(reconnect)),
    on: (event, listener) => client.on?.(event, listener),
    off: (event, listener) => client.off?.(event, listener),
    get status() {
      return client.status ?? "ready";
    },
    get stream() {
      return isHeld ? undefined : client.stream;
    },
    ...(client.isCluster === undefined ? {} : { isCluster: client.isCluster }),
    ...(client.options === undefined ? {} : { options: client.options }),
    ...(isClusterClient(client)
      ? { nodes: (role: "master") => client.nodes(role).map((node) => wrapClient(node, around)) }
      : {}),
  };
}

/** Counts sequential waits: commands sent before another has answered are one wait. */
export class WaitCounter {
  #counted = { waits: 0 };

  readonly around = async (command: string, send: Send): Promise<unknown> => {
    // The look at the server's settings goes beside the first operation, which does not wait for it.
    if (command === "INFO") return send();
    // A clean-up that nobody waits for may answer while the next operation is being counted.
    const counted = this.#counted;
    const wait = counted.waits + 1;
    try {
      const reply = await send();
      counted.waits = Math.max(counted.waits, wait);
      return reply;
    } catch (error) {
      // A node sees each script once for the first time.
      if (!String(error).includes("NOSCRIPT")) counted.waits = Math.max(counted.waits, wait);
      throw error;
    }
  };

  async count(operation: () => Promise<unknown>): Promise<number> {
    const counted = { waits: 0 };
    this.#counted = counted;
    await operation();
    return counted.waits;
  }
}
