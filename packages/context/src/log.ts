import { formatWithOptions } from "node:util";
import type { Context, ContextValues } from "./context.js";

/** Whose values go onto log lines. */
type Source<Own extends object> = Pick<Context<Own, string | undefined>, "get">;

type Keys<Own extends object> = readonly (keyof ContextValues<Own> & string)[];

type LogConsole = Pick<Console, "debug" | "error" | "info" | "log" | "warn">;

/**
 * The mixin that puts the values of a context on every line of pino: `pino({ mixin: pinoMixin(context) })`.
 *
 * @param keys - which values, in which order. Default: `requestId`, `sessionId`, `userId`
 */
export function pinoMixin<Own extends object>(
  context: Source<Own>,
  keys: Keys<Own> = defaultKeys(),
): () => Record<string, unknown> {
  return () => {
    const fields: Record<string, unknown> = {};
    for (const key of keys) {
      const value = readValue(context, key);
      if (value !== undefined) fields[key] = value;
    }
    return fields;
  };
}

/**
 * The formatter that puts the values of a context before every line: `[requestId=… sessionId=… userId=…] text`.
 *
 * Takes what `console.log` takes. Each line of a text of several gets the values, and control characters are escaped, so
 * that nothing that is logged can pass for a line of another request.
 *
 * @param keys - which values, in which order. Default: `requestId`, `sessionId`, `userId`
 */
export function lineFormatter<Own extends object>(
  context: Source<Own>,
  keys: Keys<Own> = defaultKeys(),
): (...args: unknown[]) => string {
  const mixin = pinoMixin(context, keys);
  return (...args) => {
    const fields = Object.entries(mixin()).map(([key, value]) => `${key}=${quote(value)}`);
    const prefix = fields.length === 0 ? "" : `[${fields.join(" ")}] `;
    const text = formatWithOptions({ colors: false }, ...args);
    return text
      .split(/\r?\n/)
      .map((line) => prefix + escapeControls(line))
      .join("\n");
  };
}

/**
 * A console whose lines go through {@link lineFormatter}.
 *
 * @param target - where they go. Default: the global console
 */
export function contextConsole<Own extends object>(
  context: Source<Own>,
  target: LogConsole = console,
  keys: Keys<Own> = defaultKeys(),
): LogConsole {
  const format = lineFormatter(context, keys);
  return {
    debug: (...args) => target.debug("%s", format(...args)),
    error: (...args) => target.error("%s", format(...args)),
    info: (...args) => target.info("%s", format(...args)),
    log: (...args) => target.log("%s", format(...args)),
    warn: (...args) => target.warn("%s", format(...args)),
  };
}

function defaultKeys<Own extends object>(): Keys<Own> {
  // Always among the keys; the compiler cannot tell for an `Own` that it does not know.
  return ["requestId", "sessionId", "userId"] as unknown as Keys<Own>;
}

/** A getter of the application that throws costs its field, not the line: what is being logged may be that very error. */
function readValue<Own extends object>({ get }: Source<Own>, key: keyof ContextValues<Own>): unknown {
  try {
    return get(key);
  } catch {
    return undefined;
  }
}

function quote(value: unknown): string {
  const text = String(value);
  return /^[\w.:+/=@-]+$/.test(text) ? text : escapeControls(JSON.stringify(text));
}

/** All but the tab; U+2028 and U+2029 end a line in some viewers. */
function escapeControls(text: string): string {
  return text.replace(/[^\P{Cc}\t]|[\u2028\u2029]/gu, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
