import { type Call, ServerClock, SessionError, withTimeout } from "@sojourn/core/adapter";
import { type IoredisClient, isClusterClient, type RedisClient, send } from "./client.js";
import { type ClientSource, connectTimeout } from "./client-source.js";
import { detachedCall } from "./detached-call.js";
import { isConnectionLost, isFromReplica } from "./errors.js";
import { warnOfEviction } from "./eviction.js";
import { type Reply, type ScriptReply, scriptReply } from "./reply.js";
import type { Script } from "./scripts/script.js";

type Args = readonly (string | number | Buffer)[];

/** The server tells its time in milliseconds. An estimate within this many serves a read, for this long. */
const certainWithinMs = 5;
const freshForMs = 1_000;
/** A connection is silent when it has answered nothing for this part of the timeout. Timers of calls begin a little earlier. */
const silentPart = 0.75;

/** Commands under way on one connection. */
interface Traffic {
  inFlight: number;
  /** When the server last answered, or the connection ceased to be idle. */
  progressAt: number;
  /** Whether the server has answered anything since the connection was last idle. */
  hasAnswered: boolean;
}

/** Sends commands and scripts, and gives up a connection that is silent or leads to a replica. */
export class Connection {
  readonly clock: ServerClock = new ServerClock();
  readonly isCluster: boolean;
  readonly #source: ClientSource;
  readonly #timeoutMs: number;
  /** Off once a server before version 7 has refused that line. */
  #scriptsNameTheirEngine = true;
  #traffic: Traffic = newTraffic();
  #areSettingsChecked = false;
  /** Calls of which a command has been answered: a later wait of theirs cannot undo that. */
  readonly #begun = new WeakSet<Call>();
  #onIdle: (() => void) | undefined;
  #refreshing: Promise<void> | undefined;

  constructor(source: ClientSource, timeoutMs: number) {
    this.#source = source;
    this.#timeoutMs = timeoutMs;
    this.isCluster = source.isCluster;
  }

  /** Resolves when a command would be sent at once. `undefined` when that is so already. */
  whenReady(call: Call): Promise<unknown> | undefined {
    return this.#source.ready === undefined ? this.#connect(call) : undefined;
  }

  /** Sends a command that changes nothing. It is sent once more when its connection turns out to have been closed while idle. */
  async query(call: Call, command: string, ...args: Args): Promise<Reply> {
    const client = this.#source.ready ?? (await this.#connect(call));
    try {
      return await this.#sendBy(client, call, command, args);
    } catch (error) {
      if (call.over || this.#traffic.hasAnswered || !isConnectionLost(error)) throw error;
      return this.#send(call, command, args);
    }
  }

  /** Sends a command that may change something. */
  command(call: Call, command: string, ...args: Args): Promise<Reply> {
    return this.#send(call, command, args);
  }

  /** Sends a command that changes nothing to one node. */
  queryNode(call: Call, node: RedisClient, command: string, ...args: Args): Promise<Reply> {
    return this.isCluster ? this.#sendBy(node, call, command, args) : this.query(call, command, ...args);
  }

  /** Runs a script by its digest. A server that does not know it gets its text. */
  async script<Status extends string>(
    call: Call,
    script: Script<Status>,
    keys: readonly string[],
    args: Args,
  ): Promise<ScriptReply<Status>> {
    const askedAt = performance.now();
    const reply = scriptReply(script, await this.#evaluate(call, script, [keys.length, ...keys, ...args]));
    if (this.isCluster) this.#begun.add(call);
    this.clock.observe(reply.now, askedAt);
    return reply;
  }

  /** Returns the nodes that hold the keys: on a Cluster, those that its client knows once it is connected. */
  async masters(call: Call): Promise<readonly RedisClient[]> {
    const client = this.#source.ready ?? (await this.#connect(call));
    if (!isClusterClient(client)) return [client];
    const masters: readonly IoredisClient[] = client.nodes("master");
    if (masters.length > 0) return masters;
    throw new SessionError("UNAVAILABLE", `@sojourn/redis: ${call.operation}: no node of the Cluster can be reached`);
  }

  /** Returns the server's clock at least, asking the server only when the estimate is too old or too wide. */
  async now(call: Call): Promise<number> {
    await this.clockKnown(call);
    return this.clock.earliest();
  }

  /** Resolves when the estimate of the server's clock will do. `undefined` when it does already. */
  clockKnown(call: Call): Promise<void> | undefined {
    if (this.clock.uncertaintyMs() <= certainWithinMs && this.clock.ageMs() <= freshForMs) return undefined;
    if (!this.isCluster || this.clock.ageMs() === Number.POSITIVE_INFINITY) return this.#askTime(call);
    // Any node may be asked, a silent one as well, and no session of another node waits for that.
    this.#refreshing ??= this.#askTime(detachedCall("TIME"))
      .catch(() => {})
      .finally(() => {
        this.#refreshing = undefined;
      });
    return undefined;
  }

  async #askTime(call: Call): Promise<void> {
    const askedAt = performance.now();
    // TIME answers seconds and microseconds.
    const [seconds, micros] = (await this.query(call, "TIME")) as [Buffer, Buffer];
    this.clock.observe(Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000), askedAt);
  }

  /** Lets the commands under way finish, for half the timeout at most, and closes what the store opened. */
  async close(): Promise<void> {
    try {
      const mustWait = this.#source.isOwned && this.#traffic.inFlight > 0;
      if (mustWait) await withTimeout(this.#idle(), this.#timeoutMs / 2, "@sojourn/redis: close");
    } catch {
      // Closing is all that is left to do.
    } finally {
      this.#source.close();
    }
  }

  #idle(): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  async #evaluate(call: Call, script: Script, args: Args): Promise<Reply> {
    const namesEngine = this.#scriptsNameTheirEngine;
    const { text, digest } = namesEngine ? script.named : script.plain;
    try {
      return await this.#send(call, "EVALSHA", [digest, ...args]);
    } catch (error) {
      if (!hasMessage(error, /^NOSCRIPT/)) throw error;
    }
    try {
      return await this.#send(call, "EVAL", [text, ...args]);
    } catch (error) {
      if (!namesEngine || !hasMessage(error, /compiling script.*unexpected symbol near '#'/)) throw error;
      this.#scriptsNameTheirEngine = false;
      return this.#evaluate(call, script, args);
    }
  }

  async #send(call: Call, command: string, args: Args): Promise<Reply> {
    return this.#sendBy(this.#source.ready ?? (await this.#connect(call)), call, command, args);
  }

  async #sendBy(client: RedisClient, call: Call, command: string, args: Args): Promise<Reply> {
    if (call.over) throw new Error("The operation has ended before this command was sent");
    if (!this.#areSettingsChecked) this.#checkSettings();
    const traffic = this.#traffic;
    if (traffic.inFlight === 0) {
      traffic.hasAnswered = false;
      traffic.progressAt = performance.now();
    }
    traffic.inFlight += 1;
    // A Cluster has many connections: there the client gives up a silent one, by its socketTimeout.
    if (!this.isCluster) call.onOver = this.#dropIfSilent;
    try {
      const reply = await send(client, command, args as (string | Buffer | number)[]);
      this.#answered(traffic);
      // The drivers type the answer to a command that they do not know as unknown.
      return reply as Reply;
    } catch (error) {
      if (!isConnectionLost(error)) this.#answered(traffic);
      if (!this.isCluster && traffic === this.#traffic && isFromReplica(error)) this.#drop();
      throw error;
    } finally {
      traffic.inFlight -= 1;
      if (traffic.inFlight === 0) this.#onIdle?.();
    }
  }

  async #connect(call: Call): Promise<RedisClient> {
    call.sent = this.#begun.has(call);
    call.onOver = this.#dropIfSilent;
    const connecting = this.#source.connect();
    call.reason = this.#source.lastFailure;
    const client = await connecting;
    if (call.over) throw new Error("The operation has ended before there was a connection");
    call.sent = true;
    return client;
  }

  #answered(traffic: Traffic): void {
    traffic.hasAnswered = true;
    traffic.progressAt = performance.now();
  }

  /** An operation has ended without an answer. */
  readonly #dropIfSilent = (): void => {
    const { inFlight, progressAt } = this.#traffic;
    const silentMs = inFlight > 0 && !this.isCluster ? performance.now() - progressAt : 0;
    const isSilent = silentMs >= silentPart * this.#timeoutMs;
    if (isSilent || this.#source.attemptMs() >= silentPart * connectTimeout(this.#timeoutMs)) this.#drop();
  };

  #drop(): void {
    this.#traffic = newTraffic();
    this.#source.drop();
  }

  /** Has the settings of the server looked at, beside the first command. */
  #checkSettings(): void {
    this.#areSettingsChecked = true;
    warnOfEviction(this).catch((error: unknown) => {
      // A server that refuses to tell would refuse again.
      this.#areSettingsChecked = !isConnectionLost(error);
    });
  }
}

function newTraffic(): Traffic {
  return { inFlight: 0, progressAt: 0, hasAnswered: false };
}

function hasMessage(error: unknown, pattern: RegExp): boolean {
  return error instanceof Error && pattern.test(error.message);
}
