import { parse } from "secure-json-parse";
import { isSessionError, SessionError } from "../contract/errors.js";
import { deepFreeze } from "./freeze.js";

/** Which session a payload belongs to, for codecs that bind one to the other. */
export interface CodecContext {
  readonly id: string;
  readonly userId: string | undefined;
}

/**
 * Turns the content of a session into a payload and back.
 *
 * What `decode` returns must equal, as JSON, what `encode` was given: a payload is decoded before it is sent, and refused
 * when that fails. Both may be asynchronous. An error thrown by either reaches the caller as `ENCODE` or `DECODE`, and a
 * `SessionError` as it is, so that a key service that is down for the moment can say `UNAVAILABLE`; the stored session is
 * left as it is. A change of id or user encodes anew.
 */
export interface SessionCodec {
  encode(content: unknown, context: CodecContext): string | Promise<string>;
  decode(payload: string, context: CodecContext): unknown;
}

/**
 * JSON, the default.
 *
 * What JSON cannot hold follows its rules: a `Date` comes back as a string, `undefined` is left out, `NaN` becomes `null`.
 * `__proto__` keys, and `constructor` keys that hold a `prototype`, are left out when reading, so that no later copy can
 * carry them into an object's prototype.
 */
export const jsonCodec: SessionCodec = {
  encode: (content) => JSON.stringify(content),
  decode: (payload) =>
    mayReachPrototype(payload)
      ? (parse(payload, { protoAction: "remove", constructorAction: "remove" }) as unknown)
      : (JSON.parse(payload) as unknown),
};

/**
 * Whether a text may hold what {@link jsonCodec} leaves out, or begin with a byte order mark. No key is `__proto__` or
 * `prototype` without these letters in it, but where they are escaped: all others are spared the search for keys.
 */
function mayReachPrototype(payload: string): boolean {
  return payload.includes("proto") || payload.includes("\\u") || payload.startsWith("\uFEFF");
}

/** Runs `codec.encode`; every failure that is no `SessionError` becomes `ENCODE`. */
export async function encodeContent(codec: SessionCodec, content: object, context: CodecContext): Promise<string> {
  try {
    const payload = await codec.encode(content, context);
    if (typeof payload === "string" && payload.isWellFormed()) return payload;
  } catch (cause) {
    throw isSessionError(cause) ? cause : encodeError(cause);
  }
  throw notWellFormed();
}

/** Runs `codec.decode` and freezes what it returns, deeply; every failure that is no `SessionError` becomes `DECODE`. */
export async function decodeContent(codec: SessionCodec, payload: string, context: CodecContext): Promise<unknown> {
  try {
    return deepFreeze(await codec.decode(payload, context));
  } catch (cause) {
    if (isSessionError(cause)) throw cause;
    // The parser's message may quote the payload: it stays in `cause`.
    throw new SessionError("DECODE", `@sojourn/core: the payload of session ${context.id} cannot be decoded`, {
      cause,
    });
  }
}

/**
 * The first line of an error of the language names what is in the way, and no value. Any other error may quote one: what it
 * says stays in `cause`.
 */
export function encodeError(cause: unknown): SessionError {
  const isOfLanguage = cause instanceof TypeError || cause instanceof RangeError;
  const reason = isOfLanguage ? cause.message.split("\n", 1)[0] : "the codec failed";
  return new SessionError("ENCODE", `@sojourn/core: session data cannot be encoded: ${reason}`, { cause });
}

export function notWellFormed(): SessionError {
  return new SessionError(
    "ENCODE",
    "@sojourn/core: session data cannot be encoded: the codec must return a well-formed string",
  );
}
