/** A client of node-redis 5 or 6, as `createClient` makes it. */
export interface NodeRedisClient {
  sendCommand(args: (string | Buffer)[], options?: NodeRedisCommandOptions): Promise<unknown>;
  /** False while there is no connection: commands then wait in a queue. */
  readonly isReady: boolean;
  /** Only a client of one connection has it. */
  readonly isPubSubActive: boolean;
  /** Only from version 5 on. */
  withTypeMapping(mapping: Buffers): unknown;
}

interface NodeRedisCommandOptions {
  readonly typeMapping?: Buffers;
  /** Takes back a command that has not been sent. */
  readonly abortSignal?: AbortSignal;
  /** Milliseconds that it may wait to be sent; 0 for any time. */
  readonly timeout?: number;
}

/** Texts, which the protocol marks with `$`, as Buffers. */
interface Buffers {
  readonly 36: typeof Buffer;
}
const buffers: Buffers = { 36: Buffer };

/** The store has a timeout of its own. That of version 6 costs an `AbortSignal` for each command, more than the command itself. */
const whileConnected: NodeRedisCommandOptions = { typeMapping: buffers, timeout: 0 };

/** Whether it is one: not of version 4, no Cluster, no Sentinel, no pool. */
export function isNodeRedisClient(client: object): client is NodeRedisClient {
  const { sendCommand, withTypeMapping }: { sendCommand?: unknown; withTypeMapping?: unknown } = client;
  return typeof sendCommand === "function" && typeof withTypeMapping === "function" && "isPubSubActive" in client;
}

/**
 * Sends one command. What waits for a connection is taken back after `timeoutMs`: node-redis would otherwise keep the
 * commands of a whole outage, and send them long after their callers were told that they failed.
 */
export function sendByNodeRedis(
  client: NodeRedisClient,
  command: string,
  args: readonly (string | Buffer | number)[],
  timeoutMs: number,
): Promise<unknown> {
  const texts: (string | Buffer)[] = [command];
  for (const arg of args) texts.push(typeof arg === "number" ? String(arg) : arg);
  const options = client.isReady ? whileConnected : { ...whileConnected, abortSignal: AbortSignal.timeout(timeoutMs) };
  return client.sendCommand(texts, options);
}
