import { type IoredisClient, isClusterClient, isIoredisClient, type RedisClient } from "../src/client.js";
import type { NodeRedisClient } from "../src/node-redis.js";

export type Send = () => Promise<unknown>;

/** A client whose every command goes through `around`, which may delay it, count it or never send it. */
export function wrapClient<T extends RedisClient>(
  client: T,
  around: (command: string, send: Send) => Promise<unknown>,
): T {
  // A store sees of its client what RedisClient says, and that is all here.
  return (isIoredisClient(client) ? wrapIoredis(client, around) : wrapNodeRedis(client, around)) as T;
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
    on: (event, listener) => client.on(event, listener),
    off: (event, listener) => client.off(event, listener),
    isPubSubActive: false,
    withTypeMapping: (mapping) => client.withTypeMapping(mapping),
  };
}

function wrapIoredis(client: IoredisClient, around: (command: string, send: Send) => Promise<unknown>): IoredisClient {
  return {
    callBuffer: (command, args) => around(command, () => client.callBuffer(command, args)),
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
