import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import {
  type BusListener,
  BusListeners,
  type BusMessage,
  decodeBusMessage,
  defaultTimeoutMs,
  encodeBusMessage,
  invalidOption,
  isId,
  refuseUnknownOptions,
  type SessionBus,
  WaitingMessages,
} from "@sojourn/core/adapter";
import { isClusterClient, isIoredisClient, type RedisClient, send } from "./client.js";
import { duplicate } from "./duplicate.js";
import { clientFromUrl, type FromUrlOptions } from "./from-url.js";
import { keyspace } from "./keys.js";
import { checkClient } from "./options.js";
import type { OpenClient } from "./owned-client.js";

export interface RedisBusOptions {
  /** As the option of `RedisStore`, but no `Cluster`: there, a client of one of its nodes. It stays yours, and is duplicated twice. */
  readonly client: RedisClient;
  /** The namespace of the store that announces, or any other. Default `"sojourn"`. */
  readonly prefix?: string | undefined;
  /** A connection that carries no message of the bus' own for so long is given up, in milliseconds. Default 2,000. */
  readonly timeoutMs?: number | undefined;
}

/** The options of {@link RedisBus.fromUrl}. */
export type RedisBusUrlOptions = Omit<RedisBusOptions, "client"> & FromUrlOptions;

const packageName = "@sojourn/redis";
/** The pause between two attempts to connect. */
const retryAfterMs = 100;

/**
 * A bus by the pub/sub of Redis or Valkey. Works beside a store of any engine.
 *
 * Redis keeps no messages: whatever is published while a connection is away is lost, so subscribers are told `down`, and `up`
 * once the subscription is confirmed again. A message of its own goes around regularly, and shows a connection that is silent.
 */
export class RedisBus implements SessionBus {
  readonly #listeners = new BusListeners();
  readonly #waiting = new WaitingMessages();
  readonly #closing = new AbortController();
  readonly #channel: string;
  readonly #timeoutMs: number;
  readonly #running: Promise<void>;
  #link: Link | undefined;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: RedisBusOptions) {
    refuseUnknownOptions(packageName, options, ["client", "prefix", "timeoutMs"]);
    const { client, prefix = "sojourn", timeoutMs = defaultTimeoutMs } = options;
    checkClient(client, true);
    if (isClusterClient(client)) throw invalidOption(packageName, "client", "a client of one node", client);
    if (!isId(prefix)) throw invalidOption(packageName, "prefix", "a string of 1 to 512 bytes", prefix);
    if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > 2_147_483_647) {
      throw invalidOption(packageName, "timeoutMs", "an integer from 1 to 2147483647", timeoutMs);
    }
    this.#channel = keyspace(prefix).channel;
    this.#timeoutMs = timeoutMs;
    this.#running = this.#run(client);
  }

  /**
   * Returns a bus with clients of ioredis of its own.
   *
   * @param url - as of `RedisStore.fromUrl`
   * @throws SessionError `INVALID_OPTION`
   * @example
   * ```ts no-run
   * import { RedisBus, RedisStore } from "@sojourn/redis";
   * import { TieredStore } from "@sojourn/tiered";
   *
   * const url = process.env.REDIS_URL ?? "redis://localhost:6379";
   * const bus = RedisBus.fromUrl(url);
   * const store = new TieredStore({ l2: RedisStore.fromUrl(url, { announce: true }), bus });
   * await store.close();
   * await bus.close();
   * ```
   */
  static fromUrl(url: string, { driverOptions, credentials, ...options }: RedisBusUrlOptions = {}): RedisBus {
    return new RedisBus({ ...options, client: clientFromUrl(url, { driverOptions, credentials }) });
  }

  subscribe(listener: BusListener): () => void {
    return this.#listeners.add(listener);
  }

  publish(message: BusMessage): void {
    if (this.#closing.signal.aborted) return;
    const link = this.#link;
    if (link === undefined || !this.#listeners.isUp) {
      this.#waiting.add(message);
      return;
    }
    for (const text of encodeBusMessage(message)) {
      // It may have been carried: a message that comes twice does no harm.
      link.publish(text).catch(() => this.#waiting.add(message));
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#link?.close();
    await this.#running;
  }

  async #run(client: RedisClient): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const link = new Link(this.#channel, this.#timeoutMs);
      this.#link = link;
      try {
        const opened = link.open(client, (text) => this.#listeners.message(decodeBusMessage(text)));
        await Promise.race([opened, link.lost]);
        if (!link.isLost) this.#begin();
        await link.lost;
      } catch {
        // The next attempt may succeed. Subscribers know that the bus is down.
      }
      link.close();
      this.#listeners.state("down");
      await delay(retryAfterMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  #begin(): void {
    this.#listeners.state("up");
    for (const message of this.#waiting.take()) this.publish(message);
  }
}

/** Two connections, one that listens and one that speaks: while the first listens it may not speak. Lost together. */
class Link {
  readonly lost: Promise<void>;
  isLost = false;
  readonly #timeoutMs: number;
  readonly #channel: string;
  readonly #ownChannel: string;
  readonly #clients: OpenClient[] = [];
  #lose: () => void = () => {};
  #heardAt = 0;
  #beat: NodeJS.Timeout | undefined;

  constructor(channel: string, timeoutMs: number) {
    this.#channel = channel;
    this.#ownChannel = `${channel}:${randomBytes(12).toString("base64url")}`;
    this.#timeoutMs = timeoutMs;
    this.lost = new Promise((resolve) => {
      this.#lose = resolve;
    });
  }

  /** Resolves when the subscription is confirmed. */
  async open(client: RedisClient, onText: (text: string) => void): Promise<void> {
    const [ear] = [await this.#connect(client), await this.#connect(client)];
    await subscribe(ear, [this.#channel, this.#ownChannel], (from, text) => {
      this.#heardAt = performance.now();
      if (from === this.#channel && !this.isLost) onText(text);
    });
    this.#heardAt = performance.now();
    this.#beat = setInterval(() => this.#check(), this.#timeoutMs / 3).unref();
  }

  async publish(text: string, channel: string = this.#channel): Promise<void> {
    const mouth = this.#clients[1]?.client;
    if (mouth === undefined) throw new Error("The connection is closed");
    try {
      await send(mouth, "PUBLISH", [channel, text]);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.isLost = true;
    clearInterval(this.#beat);
    for (const { close } of this.#clients.splice(0)) close();
    this.#lose();
  }

  async #connect(client: RedisClient): Promise<RedisClient> {
    const opened = await duplicate(client, this.#timeoutMs);
    // It rejects when the bus is closed meanwhile.
    opened.connected.catch(() => {});
    if (this.isLost) {
      opened.close();
      throw new Error("The bus is closed");
    }
    this.#clients.push(opened);
    await opened.connected;
    const ended = (): void => this.close();
    if (isIoredisClient(opened.client)) opened.client.on?.("close", ended);
    else {
      opened.client.on("end", ended);
      opened.client.on("error", ended);
    }
    return opened.client;
  }

  #check(): void {
    if (performance.now() - this.#heardAt >= this.#timeoutMs) this.close();
    else this.publish("", this.#ownChannel).catch(() => {});
  }
}

/** The part of each library that subscribes, which its structural type leaves out. */
interface Subscriber {
  subscribe(channels: string[], listener: (text: string, channel: string) => void): Promise<unknown>;
  subscribe(...channels: string[]): Promise<unknown>;
  on(event: "message", listener: (channel: string, text: string) => void): unknown;
}

async function subscribe(
  client: RedisClient,
  channels: string[],
  onText: (channel: string, text: string) => void,
): Promise<void> {
  // Clients of both libraries have it, in one form or the other.
  const subscriber = client as unknown as Subscriber;
  if (!isIoredisClient(client)) {
    await subscriber.subscribe(channels, (text, channel) => onText(channel, text));
    return;
  }
  subscriber.on("message", onText);
  await subscriber.subscribe(...channels);
}
