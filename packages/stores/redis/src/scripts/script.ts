import { createHash } from "node:crypto";

/** One atomic step on the server. */
export interface Script {
  /** With the engine's name in the first line: a Cluster node then refuses to touch another slot by accident. */
  readonly named: ScriptText;
  /** Without it, for servers before version 7. */
  readonly plain: ScriptText;
}

interface ScriptText {
  readonly text: string;
  readonly digest: string;
}

export interface ScriptOptions {
  /** For what frees memory or needs none more: still runs when the server has reached `maxmemory`. */
  readonly allowOutOfMemory?: boolean;
}

export function script(lua: string, { allowOutOfMemory = false }: ScriptOptions = {}): Script {
  const engine = `#!lua${allowOutOfMemory ? " flags=allow-oom" : ""}`;
  return { named: scriptText(`${engine}\n${lua}`), plain: scriptText(lua) };
}

function scriptText(text: string): ScriptText {
  return { text, digest: createHash("sha1").update(text).digest("hex") };
}
