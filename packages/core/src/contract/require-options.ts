import { describe, SessionError } from "./errors.js";
import { unknownKey } from "./nearest-key.js";

/** The options of a constructor, as messages present them. */
export interface OptionsShape {
  readonly packageName: string;
  /** The call as it should be written, such as `new RedisStore({ client }) or RedisStore.fromUrl(url)`. */
  readonly usage: string;
  readonly known: readonly string[];
}

/** Settings of a connection. They belong to the driver's own client or pool. */
const connectionSettings: ReadonlySet<string> = new Set([
  "connectionString",
  "database",
  "host",
  "hosts",
  "mongoUrl",
  "password",
  "port",
  "servers",
  "uri",
  "url",
  "user",
  "username",
]);

/**
 * Checks that options are an object with known keys, before their values are checked. A client, a store or a URL in the place
 * of the options is answered with the call as it should be written. No string is shown: a URL may contain a password.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function requireOptions(
  options: unknown,
  { packageName, usage, known }: OptionsShape,
): asserts options is object {
  if (typeof options !== "object" || options === null) {
    throw noOptions(packageName, usage, shapeOf(options));
  }
  const unknown = Object.keys(options).find((option) => !known.includes(option));
  if (unknown === undefined) return;
  if (!isPlain(options)) {
    throw noOptions(packageName, usage, describe(options));
  }
  const hint = connectionSettings.has(unknown) ? `; write ${usage}` : "";
  throw new SessionError("INVALID_OPTION", `${packageName}: ${unknownKey("option", unknown, known)}${hint}`);
}

function noOptions(packageName: string, usage: string, received: string): SessionError {
  const message = `${packageName}: option "options" must be an object of options, received ${received}; write ${usage}`;
  return new SessionError("INVALID_OPTION", message);
}

function shapeOf(value: unknown): string {
  const description = describe(value);
  return typeof value === "string" && description !== "a URL" ? "a string" : description;
}

/** Whether it is an object literal, also of another realm. */
function isPlain(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
