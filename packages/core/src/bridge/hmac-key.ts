import { hash, timingSafeEqual } from "node:crypto";

/** Block size of SHA-256, in bytes. */
const blockBytes = 64;
const digestBytes = 32;
/** Length of a signature in base64url. */
const signatureLength = 43;

/**
 * Key for HMAC-SHA256 (RFC 2104), made of two calls of `hash`.
 *
 * `createHmac` allocates an object outside V8's heap for each signature, and a digest buffer. Collecting them costs more than
 * the rest of the work for a cookie. This class hashes buffers that it reuses.
 */
export class HmacKey {
  /** A block, and a message. All messages of a cookie have the same length, so the buffer is reused. */
  #inner: Buffer;
  /** A block, and the inner digest. */
  readonly #outer: Buffer;

  constructor(secret: string) {
    const text = Buffer.from(secret);
    const key = text.length > blockBytes ? Buffer.from(hash("sha256", text, "hex"), "hex") : text;
    const block = Buffer.concat([key], blockBytes);
    this.#inner = Buffer.from(block.map((byte) => byte ^ 0x36));
    this.#outer = Buffer.concat([block.map((byte) => byte ^ 0x5c)], blockBytes + digestBytes);
  }

  /** Returns the signature, in base64url. */
  sign(message: string): string {
    const length = blockBytes + Buffer.byteLength(message);
    if (length !== this.#inner.length) this.#inner = Buffer.concat([this.#inner.subarray(0, blockBytes)], length);
    this.#inner.write(message, blockBytes);
    this.#outer.write(hash("sha256", this.#inner, "binary"), blockBytes, "binary");
    return hash("sha256", this.#outer, "base64url");
  }

  /** Whether this key has signed a message. Compares in constant time. */
  verifies(signature: string, message: string): boolean {
    // Text outside ASCII takes more bytes, and is no signature.
    if (signature.length !== signatureLength || received.write(signature) !== signatureLength) return false;
    expected.write(this.sign(message));
    return timingSafeEqual(received, expected);
  }
}

const received = Buffer.alloc(signatureLength);
const expected = Buffer.alloc(signatureLength);
