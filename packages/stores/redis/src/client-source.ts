import type { RedisClient } from "./client.js";

/** Where a store gets the client for its next command. */
export interface ClientSource {
  readonly isCluster: boolean;
  /** Whether the store opened it, and closes it. */
  readonly isOwned: boolean;
  /** The client, if it can send at once. */
  readonly ready: RedisClient | undefined;
  /**
   * Resolves with the client once it can send.
   *
   * Waits for one attempt to connect, which all callers of that time share, and rejects with the error of the driver's library
   * when the attempt fails.
   */
  connect(): Promise<RedisClient>;
  /**
   * The error of the last attempt to connect, if that failed; otherwise an error that says that the attempt under way is
   * unanswered.
   */
  readonly lastFailure: unknown;
  /** How long the attempt under way has lasted, in milliseconds; 0 without one. */
  attemptMs(): number;
  /** Gives up the connection, or the attempt under way: it is silent, or leads to a server that does not take writes. */
  drop(): void;
  /** Closes what the store itself opened. */
  close(): void;
}

/** A slow handshake is no reason to give up a connection, however short the timeout of an operation. */
const shortestConnectTimeoutMs = 1_000;

/** Returns how long one attempt to connect may take, in milliseconds. */
export function connectTimeout(timeoutMs: number): number {
  return Math.max(timeoutMs, shortestConnectTimeoutMs);
}
