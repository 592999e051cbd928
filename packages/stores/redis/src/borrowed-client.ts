import { canSend, isIoredisClient, type RedisClient } from "./client.js";
import type { ClientSource } from "./client-source.js";

/** The application's own client (`duplicate: false`). It reconnects by itself, and stays open when the store closes. */
export class BorrowedClient implements ClientSource {
  readonly isCluster: boolean;
  readonly isOwned = false;
  readonly #client: RedisClient;
  #connecting: Promise<RedisClient> | undefined;
  #connectingSince = 0;
  #lastFailure: unknown;

  constructor(isCluster: boolean, client: RedisClient) {
    this.isCluster = isCluster;
    this.#client = client;
  }

  get ready(): RedisClient | undefined {
    return canSend(this.#client) ? this.#client : undefined;
  }

  connect(): Promise<RedisClient> {
    if (canSend(this.#client)) return Promise.resolve(this.#client);
    if (isClosed(this.#client)) return Promise.reject(new Error("The client is closed"));
    if (this.#connecting === undefined) {
      this.#connectingSince = performance.now();
      this.#connecting = untilSettled(this.#client).finally(() => {
        this.#connecting = undefined;
      });
      // Its callers may all have ended.
      this.#connecting.catch((error: unknown) => {
        this.#lastFailure = error;
      });
    }
    return this.#connecting;
  }

  get lastFailure(): unknown {
    return this.#lastFailure;
  }

  attemptMs(): number {
    return this.#connecting === undefined ? 0 : performance.now() - this.#connectingSince;
  }

  /** node-redis and a Cluster offer no way to drop one connection: their own settings have to bound a silent one. */
  drop(): void {
    if (!isIoredisClient(this.#client) || this.isCluster) return;
    this.#client.disconnect?.(true);
    // `disconnect` would wait two seconds for the other side.
    this.#client.stream?.destroy();
  }

  close(): void {}
}

function isClosed(client: RedisClient): boolean {
  return isIoredisClient(client) ? client.status === "end" : !client.isOpen;
}

/** Resolves when the client can send, and rejects when its attempt to connect has failed or it is closed. */
function untilSettled(client: RedisClient): Promise<RedisClient> {
  return new Promise((resolve, reject) => {
    let lastError: unknown;
    const events: readonly (readonly [
      event: "ready" | "close" | "end" | "error",
      listener: (error?: unknown) => void,
    ])[] = [
      ["ready", () => settle()],
      ["close", () => settle(new Error("Connection is closed."))],
      ["end", () => settle(new Error("The client is closed"))],
      [
        "error",
        (error) => {
          lastError = error;
          // node-redis tells of a failed attempt by no other event.
          if (!isIoredisClient(client)) settle(error);
        },
      ],
    ];
    const settle = (error?: unknown): void => {
      for (const [event, listener] of events) unlisten(client, event, listener);
      if (error === undefined) resolve(client);
      else reject(lastError ?? error);
    };
    for (const [event, listener] of events) listen(client, event, listener);
    if (isIoredisClient(client) && client.status === "wait") client.connect?.().catch(() => {});
  });
}

type Listener = (error?: unknown) => void;

function listen(client: RedisClient, event: "ready" | "close" | "end" | "error", listener: Listener): void {
  if (isIoredisClient(client)) client.on?.(event, listener);
  else if (event !== "close") client.on(event, listener);
}

function unlisten(client: RedisClient, event: "ready" | "close" | "end" | "error", listener: Listener): void {
  if (isIoredisClient(client)) client.off?.(event, listener);
  else if (event !== "close") client.off(event, listener);
}
