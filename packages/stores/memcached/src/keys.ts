import { hash } from "node:crypto";

/**
 * The keys of one namespace: 40 to 76 characters of `a-z A-Z 0-9 - _ :`, whatever namespace, ids and user ids hold.
 *
 * Everything foreign is hashed: memcached takes neither control characters nor spaces in a key, and at most 250 bytes.
 */
export class Keys {
  readonly #prefix: string;
  /** Of the item that says which sessions count: see `Items`. */
  readonly generation: string;

  constructor(namespace: string) {
    // 128 bits: enough to tell namespaces apart, and half as long in every key.
    this.#prefix = `sojourn:${hash("sha256", namespace, "buffer").subarray(0, 16).toString("base64url")}`;
    this.generation = `${this.#prefix}:generation`;
  }

  session(id: string): string {
    return `${this.#prefix}:s:${hash("sha256", id, "base64url")}`;
  }

  user(userId: string): string {
    return `${this.#prefix}:u:${hash("sha256", userId, "base64url")}`;
  }
}
