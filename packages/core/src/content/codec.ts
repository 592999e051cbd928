import { parse } from "secure-json-parse";
import { isSessionError, SessionError } from "../contract/errors.js";
import { deepFreeze } from "./freeze.js";

/** Names the session of a payload, for codecs that bind the payload to its session. */
export interface CodecContext {
  readonly id: string;
  readonly userId: string | undefined;
}

/**
 * Turns the content of a session into a payload and back. Set it by the option `codec`.
 *
 * `decode` must return a value that equals, as JSON, the value given to `encode`: a payload is decoded before it is
 * sent, and a payload that fails is refused. Both methods may be asynchronous. An error thrown by either reaches the
 * caller as `ENCODE` or `DECODE`; a `SessionError` passes unchanged, so that a key service that is down can throw
 * `UNAVAILABLE`. The stored session stays as it is. A change of the id or the user encodes the session again.
 */
export interface SessionCodec {
  encode(content: unknown, context: CodecContext): string | Promise<string>;
  decode(payload: string, context: CodecContext): unknown;
}

/**
 * Encodes sessions as JSON. The default.
 *
 * Values that JSON cannot hold follow its rules: a `Date` comes back as a string, `undefined` is left out, `NaN`
 * becomes `null`. Reading removes `__proto__` keys, and `constructor` keys with a `prototype`, so that a later copy
 * cannot change the prototype of an object.
 */
export const jsonCodec: SessionCodec = {
  encode: (content) => JSON.stringify(content),
  decode: (payload) =>
    mayReachPrototype(payload)
      ? (parse(payload, { protoAction: "remove", constructorAction: "remove" }) as unknown)
      : (JSON.parse(payload) as unknown),
};

/**
 * Whether a text may hold a key that {@link jsonCodec} removes, or begins with a byte order mark. The keys `__proto__`
 * and `prototype` contain "proto" or an escape; all other texts skip the slow parser.
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
 * Makes an `ENCODE` error. The first line of a built-in error names the cause and contains no value. Any other error
 * may quote a value: its message stays in `cause`.
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
