import { type ErrorContext, SessionError, type SessionErrorCode } from "@sojourn/core/adapter";

/** The server cannot serve at the moment: it loads, elects, has become a replica, is full, busy, or cannot persist. */
const refusedForNow =
  /^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|OOM|MISCONF|NOREPLICAS|READONLY|ERR max number of clients)\b/;
/** Answers to the first commands of a connection. */
const refusedConnections: readonly (readonly [reply: RegExp, meaning: string])[] = [
  [/^WRONGPASS|^ERR invalid password/, "the server refused the user or the password"],
  [/^NOAUTH/, "the server requires a password"],
  [/^ERR (invalid )?DB index/i, "the server has no database of this number"],
  [/^ERR This instance has cluster support disabled/, "the server is not a node of a Cluster; use a Redis client"],
];
/** Errors that a client raises before anything is sent: ioredis, then node-redis. */
const neverSent =
  /enableOfflineQueue|Failed to refresh slots cache|startup nodes|^The client is (closed|offline)$|^The command was aborted$|^The queue is full$/;
/** Node.js and OpenSSL name a refused certificate by these codes. */
const certificateRefused =
  /^(ERR_TLS_CERT_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(VERIFY|GET)_|INVALID_CA|HOSTNAME_MISMATCH|PATH_LENGTH_EXCEEDED)/;

/** Turns an error of the driver's library or the server into a `SessionError`. */
export function classify(error: unknown, { operation, sent }: ErrorContext): SessionError {
  const failed = (code: SessionErrorCode, reason: string, outcomeUnknown = false): SessionError =>
    new SessionError(code, `@sojourn/redis: ${operation}: ${reason}`, { cause: error, outcomeUnknown });

  if (isReply(error)) return failed(...meaningOf(replyOf(error)));
  const { code } = (error ?? {}) as { code?: unknown };
  const name = typeof code === "string" ? code : undefined;
  if (name !== undefined && certificateRefused.test(name)) {
    return failed("BACKEND", `the server's certificate was refused: ${name}`);
  }
  const message = messageOf(error);
  if (message === "Command timed out") return failed("TIMEOUT", "the server did not answer in time", sent);
  const reason = name === undefined ? "" : `: ${name}`;
  return failed("UNAVAILABLE", `the server cannot be reached${reason}`, sent && !neverSent.test(message));
}

/** Returns the meaning of an error that the server answered: nothing has changed then. */
function meaningOf(reply: string): [code: SessionErrorCode, reason: string] {
  if (refusedForNow.test(reply)) return ["UNAVAILABLE", `the server refused: ${firstWord(reply)}`];
  if (reply.startsWith("WRONGTYPE")) return ["CORRUPT", "a key of the namespace holds another type"];
  if (/^(MOVED|ASK|CROSSSLOT)\b|same slot|non local key/.test(reply)) {
    return ["BACKEND", "the server is a node of a Cluster; use a Cluster client"];
  }
  const refused = refusedConnections.find(([pattern]) => pattern.test(reply));
  if (refused !== undefined) return ["BACKEND", refused[1]];
  const permission = missingPermission(reply);
  if (permission !== undefined) return ["BACKEND", `the server's user lacks a permission: ${permission}`];
  return ["BACKEND", `the server answered ${firstWord(reply)}`];
}

/** Whether a server has answered that it is a replica: the connection leads to a node that is not the master any more. */
export function isFromReplica(error: unknown): boolean {
  return isReply(error) && replyOf(error).startsWith("READONLY");
}

/** Whether the key of a command holds another type. */
export function isWrongType(error: unknown): boolean {
  return isReply(error) && replyOf(error).startsWith("WRONGTYPE");
}

/** Whether the connection broke, so that no answer will come. */
export function isConnectionLost(error: unknown): boolean {
  return !isReply(error) && messageOf(error) !== "Command timed out";
}

/**
 * Whether the server answered it. ioredis says so by the name; for node-redis it is an error like any other that begins
 * with the server's code in capitals, where Node.js would have a `code`.
 */
function isReply(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  return error.name === "ReplyError" || (/^([A-Z]{2,} |@user_script)/.test(error.message) && !("code" in error));
}

/** Before version 7: "ERR Error running script (call to f_...): @user_script:12: @user_script: 12: -READONLY You can't ...". */
const wrapped = /^(?:ERR Error running script .*?)?(?:@user_script: ?\d+: )+-?(.*)$/s;

/** Returns the answer of the server, without the words that an old server puts before the answer to a command of a script. */
function replyOf({ message }: Error): string {
  return wrapped.exec(message)?.[1] ?? message;
}

/** Returns the command or kind of object that the ACL forbids. Nothing else of the message: it may quote a key. */
function missingPermission(reply: string): string | undefined {
  const [, command] = /no permissions to run the '([a-z|_-]+)' command/i.exec(reply) ?? [];
  if (command !== undefined) return `the command ${command.toUpperCase()}`;
  if (/can't run this command or subcommand/.test(reply)) return "a command that scripts use; the README lists them";
  if (!/^NOPERM|ACL failure/.test(reply)) return undefined;
  return /\bkeys?\b/.test(reply) ? "access to the keys of the prefix" : "see the README for all that it needs";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Returns the error's code alone: the rest of a message may quote arguments. */
function firstWord(message: string): string {
  return message.split(" ", 1)[0] ?? "";
}
