import { createHash } from "node:crypto";

/** One atomic step on the server, which answers `{ status, now, ... }`. */
export interface Script<Status extends string = string> {
  /** Every status that it can answer. */
  readonly statuses: readonly Status[];
  /** With the engine's name in the first line: a node of a Cluster then refuses to touch another slot by accident. */
  readonly named: ScriptText;
  /** Without it, for servers before version 7. */
  readonly plain: ScriptText;
}

interface ScriptText {
  readonly text: string;
  readonly digest: string;
}

export interface ScriptOptions {
  /** For a script that frees memory or needs no more: it runs although the server has reached `maxmemory`. */
  readonly allowOutOfMemory?: boolean;
}

/**
 * Before version 7 a server refuses the commands of a script that could need memory only until the script has made its first
 * write. This write changes nothing, whatever the key holds.
 */
const beginWriting = "redis.pcall('ZREM', KEYS[1], '')\n";

export function script<Status extends string>(
  statuses: readonly Status[],
  lua: string,
  { allowOutOfMemory = false }: ScriptOptions = {},
): Script<Status> {
  const engine = `#!lua${allowOutOfMemory ? " flags=allow-oom" : ""}`;
  return {
    statuses,
    named: scriptText(`${engine}\n${lua}`),
    plain: scriptText(allowOutOfMemory ? beginWriting + lua : lua),
  };
}

function scriptText(text: string): ScriptText {
  return { text, digest: createHash("sha1").update(text).digest("hex") };
}
