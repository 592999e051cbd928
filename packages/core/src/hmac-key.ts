import { hash } from "node:crypto";

/** The block of SHA-256, in bytes. */
const blockBytes = 64;

/**
 * A key for HMAC-SHA256 (RFC 2104), by two hashes of one call each.
 *
 * `createHmac` makes an object outside of V8's heap for each signature, and a digest as a buffer makes another: their
 * collection costs a server more than all else that it does for a cookie.
 */
export class HmacKey {
  readonly #inner: Buffer;
  readonly #outer: Buffer;

  constructor(secret: string) {
    const text = Buffer.from(secret);
    const key = text.length > blockBytes ? Buffer.from(hash("sha256", text, "hex"), "hex") : text;
    const block = Buffer.concat([key], blockBytes);
    this.#inner = Buffer.from(block.map((byte) => byte ^ 0x36));
    this.#outer = Buffer.from(block.map((byte) => byte ^ 0x5c));
  }

  /** The signature, in base64url. */
  sign(message: string): string {
    const digest = hash("sha256", Buffer.concat([this.#inner, Buffer.from(message)]), "binary");
    return hash("sha256", Buffer.concat([this.#outer, Buffer.from(digest, "binary")]), "base64url");
  }
}
