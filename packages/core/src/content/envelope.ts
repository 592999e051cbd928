import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from "node:crypto";
import type { CodecContext } from "./codec.js";

/**
 * The text that an encrypted session is stored as: `<format>.<key id>.<body>`, where the body is nonce, ciphertext and tag
 * in base64url. Format `e1` is AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits and a tag of 128; `e1d` is the
 * same over text that was deflated.
 */
export interface Envelope {
  readonly format: EnvelopeFormat;
  readonly keyId: string;
  readonly body: Buffer;
}

type EnvelopeFormat = "e1" | "e1d";

/**
 * The associated data of an envelope: the session, the user, the format and the key. The tag covers it and the
 * ciphertext.
 */
export interface EnvelopeContext extends CodecContext {
  readonly format: EnvelopeFormat;
  readonly keyId: string;
}

const algorithm = "aes-256-gcm";
const nonceBytes = 12;
const tagBytes = 16;
// A truncated tag is refused.
const cipherOptions = { authTagLength: tagBytes };

/** The form of a key id, which is part of the envelope: too short for a key that was passed by mistake. */
export const keyIdPattern: RegExp = /^[A-Za-z0-9_-]{1,32}$/;

/** Encrypts `plain` with a new random nonce. */
export function seal(secret: KeyObject, plain: string | Buffer, context: EnvelopeContext): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, secret, nonce, cipherOptions).setAAD(associatedData(context));
  const ciphertext = typeof plain === "string" ? cipher.update(plain, "utf8") : cipher.update(plain);
  const body = Buffer.concat([nonce, ciphertext, cipher.final(), cipher.getAuthTag()]);
  return `${context.format}.${context.keyId}.${body.toString("base64url")}`;
}

/** Parses an envelope. Returns `undefined` for any other text, also for base64url that is not canonical. */
export function parseEnvelope(text: string): Envelope | undefined {
  const [format, keyId, encoded, ...more] = text.split(".", 4);
  if ((format !== "e1" && format !== "e1d") || keyId === undefined || encoded === undefined || more.length > 0) {
    return undefined;
  }
  const body = Buffer.from(encoded, "base64url");
  // Node's decoder skips characters outside base64url, and ignores the spare bits of the last one.
  const isCanonical = body.length >= nonceBytes + tagBytes && body.toString("base64url") === encoded;
  return isCanonical && keyIdPattern.test(keyId) ? { format, keyId, body } : undefined;
}

/**
 * Decrypts an envelope. Throws when the key, the context or any bit of the body differs; no plaintext is returned then.
 */
export function open(secret: KeyObject, { format, keyId, body }: Envelope, context: CodecContext): Buffer {
  const decipher = createDecipheriv(algorithm, secret, body.subarray(0, nonceBytes), cipherOptions)
    .setAAD(associatedData({ ...context, format, keyId }))
    .setAuthTag(body.subarray(-tagBytes));
  const plain = decipher.update(body.subarray(nonceBytes, -tagBytes));
  // GCM is a stream cipher: `final` adds no bytes, it checks the tag.
  decipher.final();
  return plain;
}

/**
 * Encodes each part with its length, so that no two contexts have the same bytes. An anonymous session has no length
 * there.
 */
function associatedData({ format, keyId, id, userId }: EnvelopeContext): Buffer {
  const user = userId === undefined ? "-" : prefixed(userId);
  return Buffer.from(`${prefixed(format)}${prefixed(keyId)}${prefixed(id)}${user}`);
}

function prefixed(text: string): string {
  return `${text.length}:${text}`;
}
