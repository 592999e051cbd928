import { canSend, type RedisClient } from "./client.js";
import type { ClientSource } from "./client-source.js";

/** A client that the store opened. It connects once: when its connection is gone, so is the client. */
export interface OpenClient {
  readonly client: RedisClient;
  /** Settled when the client can send, or never will. */
  readonly connected: Promise<void>;
  /** Closes the connection at once. */
  close(): void;
}

/** After a failed attempt to connect, calls fail by its error for so long, without another attempt. */
const retryAfterMs = 50;

/**
 * The store's own client, opened at the first command, and again at the next command after its connection was lost.
 *
 * No client reconnects by itself: so none sends a command again, or later than its caller was told, and each connection
 * begins with the settings and credentials of its moment.
 */
export class OwnedClient implements ClientSource {
  readonly isCluster: boolean;
  readonly isOwned = true;
  readonly #isEncrypted: boolean;
  readonly #open: () => Promise<OpenClient>;
  #current: OpenClient | undefined;
  #attempt: Attempt | undefined;
  #failure: { readonly error: unknown; readonly at: number } | undefined;
  #isClosed = false;

  constructor(isCluster: boolean, isEncrypted: boolean, open: () => Promise<OpenClient>) {
    this.isCluster = isCluster;
    this.#isEncrypted = isEncrypted;
    this.#open = open;
  }

  get ready(): RedisClient | undefined {
    const client = this.#current?.client;
    return client !== undefined && canSend(client) ? client : undefined;
  }

  connect(): Promise<RedisClient> {
    const { ready } = this;
    if (ready !== undefined) return Promise.resolve(ready);
    if (this.#isClosed) return Promise.reject(new Error("Connection is closed."));
    if (this.#failure !== undefined && performance.now() - this.#failure.at < retryAfterMs) {
      return Promise.reject(this.#failure.error);
    }
    this.#attempt ??= new Attempt(this.#open, this.#settled);
    return this.#attempt.connected;
  }

  get lastFailure(): unknown {
    return this.#failure?.error ?? (this.#attempt && unanswered(this.#isEncrypted));
  }

  attemptMs(): number {
    return this.#attempt === undefined ? 0 : performance.now() - this.#attempt.beganAt;
  }

  drop(): void {
    if (this.#attempt !== undefined) {
      const error = unanswered(this.#isEncrypted);
      this.#attempt.abandon(error);
      this.#failure = { error, at: performance.now() };
    }
    this.#attempt = undefined;
    this.#current?.close();
    this.#current = undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.drop();
  }

  readonly #settled = (attempt: Attempt, outcome: OpenClient | { readonly error: unknown }): void => {
    if (this.#attempt !== attempt) return;
    this.#attempt = undefined;
    if ("error" in outcome) {
      this.#failure = { error: outcome.error, at: performance.now() };
      return;
    }
    this.#current?.close();
    this.#current = outcome;
    this.#failure = undefined;
  };
}

function unanswered(isEncrypted: boolean): Error {
  const message = isEncrypted
    ? "The server did not answer the attempt to connect by TLS; does the port speak TLS?"
    : "The server did not answer the attempt to connect";
  return Object.assign(new Error(message), { code: "ETIMEDOUT" });
}

/** One attempt to open a client and connect it. */
class Attempt {
  readonly beganAt: number = performance.now();
  readonly connected: Promise<RedisClient>;
  readonly #open: () => Promise<OpenClient>;
  readonly #onSettled: (attempt: Attempt, outcome: OpenClient | { readonly error: unknown }) => void;
  #opened: OpenClient | undefined;
  #isAbandoned = false;
  #rejectAbandoned: ((error: Error) => void) | undefined;

  constructor(
    open: () => Promise<OpenClient>,
    onSettled: (attempt: Attempt, outcome: OpenClient | { readonly error: unknown }) => void,
  ) {
    this.#open = open;
    this.#onSettled = onSettled;
    const abandoned = new Promise<never>((_, reject) => {
      this.#rejectAbandoned = reject;
    });
    this.connected = Promise.race([this.#connect(), abandoned]);
    // Its callers may all have ended.
    this.connected.catch(() => {});
  }

  /** Gives it up. Its callers get the error. */
  abandon(error: Error): void {
    this.#isAbandoned = true;
    this.#opened?.close();
    this.#rejectAbandoned?.(error);
  }

  async #connect(): Promise<RedisClient> {
    try {
      this.#opened = await this.#open();
      if (this.#isAbandoned) this.#opened.close();
      await this.#opened.connected;
      this.#onSettled(this, this.#opened);
      return this.#opened.client;
    } catch (error) {
      this.#opened?.close();
      this.#onSettled(this, { error });
      throw error;
    }
  }
}
