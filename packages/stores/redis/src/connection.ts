import { isSessionError, SessionError, withTimeout } from "@sojourn/core/adapter";
import { isClusterClient, isIoredisClient, type RedisClient, send } from "./client.js";
import { classify } from "./errors.js";
import type { Script } from "./scripts/script.js";
import { ServerClock } from "./server-clock.js";

/** What a server answers, from a client that is asked for Buffers. */
export type Reply = Buffer | string | number | null | Reply[];

/** The answer of a script: how it went, when by the server's clock, and what it has to say. */
export interface ScriptReply {
  readonly status: string;
  readonly now: number;
  readonly rest: readonly Reply[];
}

export interface CommandOptions {
  /** The operation that it is part of, for messages. */
  readonly operation: string;
  readonly writes?: boolean;
  /** The node to ask. Default: the one that holds the key. */
  readonly node?: RedisClient;
}

/** Sends commands and scripts, each under the timeout, and turns what fails into errors of the contract. */
export class Connection {
  readonly clock: ServerClock = new ServerClock();
  readonly #client: RedisClient;
  readonly #timeoutMs: number;
  /** Off for servers before version 7, which cannot read that line. */
  #scriptsNameTheirEngine = true;

  constructor(client: RedisClient, timeoutMs: number) {
    this.#client = client;
    this.#timeoutMs = timeoutMs;
  }

  /** The nodes that hold the keys. A Cluster's client knows them once it is connected. */
  async masters(operation: string): Promise<readonly RedisClient[]> {
    if (!isClusterClient(this.#client)) return [this.#client];
    if (this.#client.nodes("master").length === 0) await this.command({ operation }, "TIME");
    const masters = this.#client.nodes("master");
    if (masters.length > 0) return masters;
    throw new SessionError("UNAVAILABLE", `@sojourn/redis: ${operation}: no node of the Cluster can be reached`);
  }

  async command(options: CommandOptions, command: string, ...args: (string | number | Buffer)[]): Promise<Reply> {
    try {
      return await this.#send(options, command, args);
    } catch (error) {
      throw this.#classify(error, options);
    }
  }

  /**
   * Reads a key that an index or a walk has named, or its first bytes. One that holds another type reads as the empty text,
   * a corrupt record.
   */
  async peek(operation: string, key: string | Buffer, firstBytes?: number): Promise<Buffer | undefined> {
    try {
      if (firstBytes === undefined) {
        const value = await this.command({ operation }, "GET", key);
        return value === null ? undefined : asBuffer(value);
      }
      const head = asBuffer(await this.command({ operation }, "GETRANGE", key, 0, firstBytes - 1));
      return head.length === 0 ? undefined : head;
    } catch (error) {
      if (!isSessionError(error, "CORRUPT")) throw error;
      return Buffer.alloc(0);
    }
  }

  /** The same for several keys, by one command where they lie on one node. */
  async peekAll(operation: string, keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    if (keys.length === 0) return [];
    if (isClusterClient(this.#client)) return Promise.all(keys.map((key) => this.peek(operation, key)));
    const values = (await this.command({ operation }, "MGET", ...keys)) as (Buffer | null)[];
    // Nothing, or another type: GET tells which.
    return Promise.all(keys.map((key, n) => values[n] ?? this.peek(operation, key)));
  }

  /** The server's clock, asked only when the estimate will not do. */
  async now(operation: string): Promise<number> {
    if (this.clock.isUncertain()) await this.askTime(operation);
    return this.clock.now();
  }

  async askTime(operation: string): Promise<void> {
    const askedAt = performance.now();
    // TIME answers seconds and microseconds.
    const [seconds, micros] = (await this.command({ operation }, "TIME")) as [Buffer, Buffer];
    this.clock.observe(Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000), askedAt);
  }

  /** Runs a script by its digest; a server that does not know it is sent its text. */
  async script(
    operation: string,
    script: Script,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<ScriptReply> {
    const options: CommandOptions = { operation, writes: true };
    const call = [keys.length, ...keys, ...args];
    const askedAt = performance.now();
    try {
      const reply = await this.#evaluate(options, script, call);
      if (!Array.isArray(reply)) throw new TypeError("a script answered with something else than a list");
      const [status, now, ...rest] = reply;
      this.clock.observe(Number(now), askedAt);
      return { status: String(status), now: Number(now), rest };
    } catch (error) {
      throw this.#classify(error, options);
    }
  }

  async #evaluate(options: CommandOptions, script: Script, call: (string | number)[]): Promise<Reply> {
    const { text, digest } = this.#scriptsNameTheirEngine ? script.named : script.plain;
    try {
      return await this.#send(options, "EVALSHA", [digest, ...call]);
    } catch (error) {
      if (!hasMessage(error, /^NOSCRIPT/)) throw error;
    }
    try {
      return await this.#send(options, "EVAL", [text, ...call]);
    } catch (error) {
      if (!this.#scriptsNameTheirEngine || !hasMessage(error, /compiling script.*unexpected symbol near '#'/))
        throw error;
      this.#scriptsNameTheirEngine = false;
      return this.#evaluate(options, script, call);
    }
  }

  #send({ operation, node = this.#client }: CommandOptions, command: string, args: (string | number | Buffer)[]) {
    // The driver types the answer to a command that it does not know as unknown.
    const reply = send(node, command, args, this.#timeoutMs) as Promise<Reply>;
    return withTimeout(reply, this.#timeoutMs, `@sojourn/redis: ${operation}`);
  }

  #classify(error: unknown, { operation, writes = false }: CommandOptions) {
    return classify(error, { operation, writes, failsOver: followsMaster(this.#client) });
  }
}

/** Whether it finds the new master by itself after a failover. */
function followsMaster(client: RedisClient): boolean {
  if (!isIoredisClient(client)) return false;
  const settings: { sentinels?: unknown } = client.options ?? {};
  return client.isCluster === true || Boolean(settings.sentinels);
}

/** Where a script answers text, the client hands out a Buffer. */
export function asBuffer(reply: Reply | undefined): Buffer {
  if (Buffer.isBuffer(reply)) return reply;
  throw new TypeError("a script answered with something else than text");
}

function hasMessage(error: unknown, pattern: RegExp): boolean {
  return error instanceof Error && pattern.test(error.message);
}
