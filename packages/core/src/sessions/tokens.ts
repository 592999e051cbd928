import { hash, randomFillSync } from "node:crypto";

const tokenBytes = 32;
/** In characters. */
export const tokenLength = 43;
const tokenPattern = /^[A-Za-z0-9_-]{43}$/;

// A call to the kernel for each token costs ten times as much as taking 32 bytes of a pool that it filled.
const pool = Buffer.allocUnsafe(tokenBytes * 128);
let used = pool.length;

/** A new session token: 256 random bits as 43 characters of base64url. Throws when the system's randomness fails. */
export function generateToken(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const token = pool.toString("base64url", used, used + tokenBytes);
  // What has been handed out must not linger where a later bug could read it.
  pool.fill(0, used, used + tokenBytes);
  used += tokenBytes;
  return token;
}

/** Whether a value has the form of a token. Anything else, objects from cookie parsers included, is never looked up. */
export function isToken(value: unknown): value is string {
  return typeof value === "string" && tokenPattern.test(value);
}

/**
 * The storage id of a token: `base64url(SHA-256(token))`.
 *
 * An id is not a credential: presented as a token it is hashed again and finds nothing. It may be logged and shown.
 */
export function tokenToId(token: string): string {
  return hash("sha256", token, "base64url");
}
