import { hash, randomFillSync } from "node:crypto";

const tokenBytes = 32;
/** The length of a token in characters. */
export const tokenLength = 43;
const tokenPattern = /^[A-Za-z0-9_-]{43}$/;

// Filling a pool by one system call makes a token ten times as fast as one call for each token.
const pool = Buffer.allocUnsafe(tokenBytes * 128);
let used = pool.length;

/**
 * Returns a new session token: 256 random bits as 43 characters of base64url. Throws when the system's randomness
 * fails.
 */
export function generateToken(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const token = pool.toString("base64url", used, used + tokenBytes);
  // Erases the used bytes, so that no later bug can read them.
  pool.fill(0, used, used + tokenBytes);
  used += tokenBytes;
  return token;
}

/** Whether a value has the form of a token. Other values, such as objects from cookie parsers, are never looked up. */
export function isToken(value: unknown): value is string {
  return typeof value === "string" && tokenPattern.test(value);
}

/**
 * Returns the storage id of a token: `base64url(SHA-256(token))`.
 *
 * An id is not a credential: presented as a token it is hashed again and finds nothing. It may be logged and shown.
 */
export function tokenToId(token: string): string {
  return hash("sha256", token, "base64url");
}
