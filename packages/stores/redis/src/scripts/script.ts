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

/*
 * Before version 7 a script has no flags. The server refuses a command that could need memory, when it has none left, until the
 * script has made its first write. So the first write decides. Neither of these changes anything, whatever the key holds.
 */
const writeWithoutMemory = "redis.pcall('ZREM', KEYS[1], '')\n";
const writeWithMemory = `local refused = redis.pcall('SETRANGE', KEYS[1], 0, '')
if type(refused) == 'table' and not string.find(refused.err, 'WRONGTYPE', 1, true) then return refused end
`;

export function script<Status extends string>(
  statuses: readonly Status[],
  lua: string,
  { allowOutOfMemory = false }: ScriptOptions = {},
): Script<Status> {
  const engine = `#!lua${allowOutOfMemory ? " flags=allow-oom" : ""}`;
  return {
    statuses,
    named: scriptText(`${engine}\n${silence}\n${lua}`),
    plain: scriptText(`${allowOutOfMemory ? writeWithoutMemory : writeWithMemory}${silence}\n${lua}`),
  };
}

/** The line of a script that says whether it tells the bus. */
const silence = "local announces = false";

/** Returns the scripts that tell the bus of what they end and change. */
export function announcing<Scripts extends Readonly<Record<string, Script>>>(scripts: Scripts): Scripts {
  const loud = ({ text }: ScriptText): ScriptText => scriptText(text.replace(silence, "local announces = true"));
  const entries = Object.entries(scripts).map(([name, { statuses, named, plain }]) => {
    return [name, { statuses, named: loud(named), plain: loud(plain) }];
  });
  // The same names, with scripts of the same statuses.
  return Object.fromEntries(entries) as Scripts;
}

function scriptText(text: string): ScriptText {
  return { text, digest: createHash("sha1").update(text).digest("hex") };
}
