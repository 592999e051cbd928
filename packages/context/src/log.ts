import { formatWithOptions } from "node:util";
import type { Context, ContextValues } from "./context.js";

/** The context whose values appear on log lines. */
type Source<Own extends object> = Pick<Context<Own, string | undefined>, "get">;

type Keys<Own extends object> = readonly (keyof ContextValues<Own> & string)[];

type LogConsole = Pick<Console, "debug" | "error" | "info" | "log" | "warn">;

/**
 * Returns a mixin that adds the values of a context to every line of pino: `pino({ mixin: pinoMixin(context) })`.
 *
 * @param keys - the keys, in their order. Default: `requestId`, `sessionId`, `userId`
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
 * Returns a formatter that puts the values of a context before every line: `[requestId=… sessionId=… userId=…] text`.
 *
 * It takes the arguments of `console.log`. Each line of a longer text gets the values, and control characters are
 * escaped, so that a logged text cannot imitate a line of another request.
 *
 * @param keys - the keys, in their order. Default: `requestId`, `sessionId`, `userId`
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
 * Returns a console whose lines go through {@link lineFormatter}.
 *
 * @param target - the console that writes the lines. Default: the global console
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
  // The key is always present; the compiler cannot tell for an unknown `Own`.
  return ["requestId", "sessionId", "userId"] as unknown as Keys<Own>;
}

/**
 * Reads a value. An error of an application's getter drops its field, not the line: the line may be about that error.
 */
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

/** All control characters except the tab. U+2028 and U+2029 end a line in some viewers. */
function escapeControls(text: string): string {
  return text.replace(/[^\P{Cc}\t]|[\u2028\u2029]/gu, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
