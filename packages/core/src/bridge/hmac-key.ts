import { hash, timingSafeEqual } from "node:crypto";

/** The block of SHA-256, in bytes. */
const blockBytes = 64;
const digestBytes = 32;
/** A signature in base64url. */
const signatureLength = 43;

/**
 * A key for HMAC-SHA256 (RFC 2104), by two hashes of one call each.
 *
 * `createHmac` makes an object outside of V8's heap for each signature, and a digest as a buffer makes another: their
 * collection costs a server more than all else that it does for a cookie. What is hashed stands in buffers that are used again.
 */
export class HmacKey {
  /** A block, and room for a message: of one length, as those of a cookie are, for all. */
  #inner: Buffer;
  /** A block, and room for the inner digest. */
  readonly #outer: Buffer;

  constructor(secret: string) {
    const text = Buffer.from(secret);
    const key = text.length > blockBytes ? Buffer.from(hash("sha256", text, "hex"), "hex") : text;
    const block = Buffer.concat([key], blockBytes);
    this.#inner = Buffer.from(block.map((byte) => byte ^ 0x36));
    this.#outer = Buffer.concat([block.map((byte) => byte ^ 0x5c)], blockBytes + digestBytes);
  }

  /** The signature, in base64url. */
  sign(message: string): string {
    const length = blockBytes + Buffer.byteLength(message);
    if (length !== this.#inner.length) this.#inner = Buffer.concat([this.#inner.subarray(0, blockBytes)], length);
    this.#inner.write(message, blockBytes);
    this.#outer.write(hash("sha256", this.#inner, "binary"), blockBytes, "binary");
    return hash("sha256", this.#outer, "base64url");
  }

  /** Whether this key has signed a message, in a time that tells nothing of the right signature. */
  verifies(signature: string, message: string): boolean {
    // Text beyond ASCII takes more bytes: what is written of it is no signature.
    if (signature.length !== signatureLength || received.write(signature) !== signatureLength) return false;
    expected.write(this.sign(message));
    return timingSafeEqual(received, expected);
  }
}

const received = Buffer.alloc(signatureLength);
const expected = Buffer.alloc(signatureLength);
