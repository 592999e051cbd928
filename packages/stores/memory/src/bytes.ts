import { bytesPerSlot } from "./table.js";

/**
 * The memory of a session beside the table and the characters: a map entry by id, one by user, and the headers of three
 * strings.
 */
const bytesAround = 2 * 44 + 3 * 16;

/**
 * Estimates the memory of a session. The estimate is never much too low.
 *
 * The user id counts for each session of the user, although the sessions share it.
 */
export function sessionBytes(id: string, userId: string | undefined, payload: string): number {
  return bytesPerSlot + bytesAround + stringBytes(id) + stringBytes(payload) + stringBytes(userId ?? "");
}

/** V8 takes one byte a character for a Latin-1 string, else two. Only ASCII can be detected fast. */
function stringBytes(value: string): number {
  return Buffer.byteLength(value) === value.length ? value.length : 2 * value.length;
}
