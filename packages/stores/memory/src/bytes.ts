import { bytesPerSlot } from "./table.js";

/** A map entry by id with its share of the free ones, one by user, and the headers of three strings. */
const bytesAround = 2 * 44 + 3 * 16;

/**
 * An estimate, never far too low, of the memory that a session takes.
 *
 * The id of the user is counted for each of the user's sessions, although they share it.
 */
export function sessionBytes(id: string, userId: string | undefined, payload: string): number {
  return bytesPerSlot + bytesAround + stringBytes(id) + stringBytes(payload) + stringBytes(userId ?? "");
}

/** V8 takes one byte for each character of a string that is Latin-1 throughout, else two. ASCII is what can be told fast. */
function stringBytes(value: string): number {
  return Buffer.byteLength(value) === value.length ? value.length : 2 * value.length;
}
