import { isSessionError, SessionError, type SessionErrorCode } from "@sojourn/core/adapter";

export interface FailedCommand {
  /** As in "create". */
  readonly operation: string;
  /** Whether it may have changed something. */
  readonly writes: boolean;
  /** Whether the client follows the master by itself (Sentinel, Cluster). */
  readonly failsOver: boolean;
}

/** The server cannot serve at the moment: it loads, elects, is full, busy, or cannot persist. */
const refusedForNow =
  /^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|OOM|MISCONF|NOREPLICAS|ERR max number of clients)\b/;
/** Errors that the client raises before anything is sent: ioredis, then node-redis. */
const neverSent =
  /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|enableOfflineQueue|Failed to refresh slots cache|startup nodes|^The client is (closed|offline)$|^The command was aborted$|^The queue is full$/;

/** What an error of the driver or the server means. */
export function classify(error: unknown, { operation, writes, failsOver }: FailedCommand): SessionError {
  if (isSessionError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  const failed = (code: SessionErrorCode, reason: string, outcomeUnknown = false): SessionError =>
    new SessionError(code, `@sojourn/redis: ${operation}: ${reason}`, { cause: error, outcomeUnknown });

  if (!isReply(error)) {
    if (message === "Command timed out") return failed("TIMEOUT", "the server did not answer in time", writes);
    return failed("UNAVAILABLE", "the server cannot be reached", writes && !neverSent.test(message));
  }
  if (refusedForNow.test(message)) return failed("UNAVAILABLE", `the server refused: ${firstWord(message)}`);
  // With Sentinel or a Cluster the old master says so for a moment after a failover.
  if (message.startsWith("READONLY")) {
    return failed(failsOver ? "UNAVAILABLE" : "BACKEND", "the server is a read-only replica");
  }
  if (message.startsWith("WRONGTYPE")) return failed("CORRUPT", "a key of the namespace holds another type");
  if (/^(MOVED|ASK|CROSSSLOT)\b|same slot|non local key/.test(message)) {
    return failed("BACKEND", "the server is a node of a Cluster; use a Cluster client");
  }
  return failed("BACKEND", `the server answered ${firstWord(message)}`);
}

/**
 * Whether the server answered it. ioredis says so by the name; for node-redis it is an error like any other that begins
 * with the server's code in capitals, where Node.js would have a `code`.
 */
function isReply(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === "ReplyError" || (/^[A-Z]{2,} /.test(error.message) && !("code" in error));
}

/** The error's code alone: what follows may quote arguments. */
function firstWord(message: string): string {
  return message.split(" ", 1)[0] ?? "";
}
