import { withTimeout } from "@sojourn/core/adapter";

/** A client of node-redis 5 or 6, as `createClient` makes it. */
export interface NodeRedisClient {
  sendCommand(args: (string | Buffer)[], options?: NodeRedisCommandOptions): Promise<unknown>;
  /** False before `connect`, and once it is closed. */
  readonly isOpen: boolean;
  /** False while there is no connection. */
  readonly isReady: boolean;
  readonly options?: { readonly disableOfflineQueue?: unknown; readonly keyPrefix?: unknown } | undefined;
  on(event: "ready" | "end", listener: () => void): unknown;
  off(event: "ready" | "end", listener: () => void): unknown;
  /** Only a client of one connection has it. */
  readonly isPubSubActive: boolean;
  /** Only from version 5 on. */
  withTypeMapping(mapping: Buffers): unknown;
}

interface NodeRedisCommandOptions {
  readonly typeMapping?: Buffers;
  /** Milliseconds that it may wait to be sent; 0 for any time. */
  readonly timeout?: number;
}

/** Texts, which the protocol marks with `$`, as Buffers. */
interface Buffers {
  readonly 36: typeof Buffer;
}
const buffers: Buffers = { 36: Buffer };

/** The store has a timeout of its own. That of version 6 costs an `AbortSignal` for each command, more than the command itself. */
const commandOptions: NodeRedisCommandOptions = { typeMapping: buffers, timeout: 0 };

/** Whether it is one: not of version 4, no Cluster, no Sentinel, no pool. */
export function isNodeRedisClient(client: object): client is NodeRedisClient {
  const { sendCommand, withTypeMapping }: { sendCommand?: unknown; withTypeMapping?: unknown } = client;
  return typeof sendCommand === "function" && typeof withTypeMapping === "function" && "isPubSubActive" in client;
}

/**
 * Sends one command, once there is a connection. node-redis would keep the commands of a whole outage, and send them long
 * after their callers were told that they failed; and version 5 loses commands when others are taken back by a signal.
 *
 * @throws Error "The client is offline", as its own, after `timeoutMs` without a connection
 */
export async function sendByNodeRedis(
  client: NodeRedisClient,
  command: string,
  args: readonly (string | Buffer | number)[],
  timeoutMs: number,
): Promise<unknown> {
  const texts: (string | Buffer)[] = [command];
  for (const arg of args) texts.push(typeof arg === "number" ? String(arg) : arg);
  if (!client.isReady && client.isOpen && !client.options?.disableOfflineQueue) {
    await withTimeout(untilReady(client), timeoutMs, command).catch((cause: unknown) => {
      throw new Error("The client is offline", { cause });
    });
  }
  return client.sendCommand(texts, commandOptions);
}

const waiting = new WeakMap<NodeRedisClient, Promise<void>>();

/** Until it is connected, or closed. The callers of an outage share two listeners. */
function untilReady(client: NodeRedisClient): Promise<void> {
  const shared = waiting.get(client);
  if (shared !== undefined) return shared;
  const settled = new Promise<void>((resolve) => {
    const settle = (): void => {
      client.off("ready", settle);
      client.off("end", settle);
      waiting.delete(client);
      resolve();
    };
    client.on("ready", settle);
    client.on("end", settle);
  });
  waiting.set(client, settled);
  return settled;
}
