/** A client of node-redis 5 or 6, as `createClient` makes it. */
export interface NodeRedisClient {
  sendCommand(args: (string | Buffer)[], options?: NodeRedisCommandOptions): Promise<unknown>;
  /** False before `connect`, and once it is closed. */
  readonly isOpen: boolean;
  /** False while there is no connection. */
  readonly isReady: boolean;
  readonly options?: NodeRedisOptions | undefined;
  connect(): Promise<unknown>;
  duplicate(options?: object): unknown;
  destroy(): void;
  unref(): unknown;
  on(event: "ready" | "end" | "error", listener: (error?: unknown) => void): unknown;
  off(event: "ready" | "end" | "error", listener: (error?: unknown) => void): unknown;
  /** Only a client of one connection has it. */
  readonly isPubSubActive: boolean;
  /** Only from version 5 on. */
  withTypeMapping(mapping: Buffers): unknown;
}

interface NodeRedisOptions {
  readonly disableOfflineQueue?: unknown;
  readonly keyPrefix?: unknown;
  readonly socket?: object | undefined;
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

/** Without a timeout: the store has its own. A timeout of version 6 costs an `AbortSignal` for each command, more than the command. */
const commandOptions: NodeRedisCommandOptions = { typeMapping: buffers, timeout: 0 };

/** Whether it is a client of one connection: not of version 4, no Cluster, no Sentinel, no pool. */
export function isNodeRedisClient(client: object): client is NodeRedisClient {
  const { sendCommand, withTypeMapping }: { sendCommand?: unknown; withTypeMapping?: unknown } = client;
  return typeof sendCommand === "function" && typeof withTypeMapping === "function" && "isPubSubActive" in client;
}

export function sendByNodeRedis(
  client: NodeRedisClient,
  command: string,
  args: readonly (string | Buffer | number)[],
): Promise<unknown> {
  const texts: (string | Buffer)[] = [command];
  for (const arg of args) texts.push(typeof arg === "number" ? String(arg) : arg);
  return client.sendCommand(texts, commandOptions);
}
