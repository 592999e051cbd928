import type { Script } from "./scripts/script.js";

/** An answer of the server, from a client that is asked for Buffers. */
export type Reply = Buffer | string | number | null | Reply[];

/** The answer of a script: its status, the server's clock, and the values that the script's comment names. */
export interface ScriptReply<Status extends string> {
  readonly status: Status;
  readonly now: number;
  readonly rest: readonly Reply[];
}

export function scriptReply<Status extends string>({ statuses }: Script<Status>, reply: Reply): ScriptReply<Status> {
  if (!Array.isArray(reply)) throw new TypeError("a script answered no list");
  const [text, now, ...rest] = reply;
  const answered = String(text);
  const status = statuses.find((known) => known === answered);
  if (status === undefined) throw new TypeError("a script answered an unknown status");
  return { status, now: Number(now), rest };
}

/** Returns text as the client hands it out: a Buffer. */
export function asBuffer(reply: Reply | undefined): Buffer {
  if (Buffer.isBuffer(reply)) return reply;
  throw new TypeError("the server answered something other than text");
}
