import type { SessionContent } from "./content.js";
import type { ContentText } from "./content-text.js";

/**
 * What one generation holds at most, in characters of payload; an entry counts as {@link entrySize} more. A thousand
 * sessions of 10 KB, which are asked for in turn, then stay. Payload and content take 2.4 bytes a character at 10 KB, 2.5 at
 * 1 KB: two full generations are 60 MB.
 */
const generationSize = 12 * 2 ** 20;
/** A few large ones would drive out all others, and keep much memory. */
const largestSize = 64 * 2 ** 10;
/** A Map's entry and the object in it, about. */
const entrySize = 256;

interface Decoded {
  readonly payload: string;
  readonly content: SessionContent;
  /** Where the entries of its data end in the payload, if this process has written them. */
  readonly ends: readonly number[] | undefined;
}

/**
 * What payloads were decoded to, for those that come back unchanged, as they do in most reads: to compare one costs a
 * fraction of parsing and freezing it again, and all readers share one object. The store is asked all the same.
 *
 * In two generations, the older of which is dropped when the other one is full: bounded, and without order to keep.
 */
export class DecodedContents {
  #recent = new Map<string, Decoded>();
  #older = new Map<string, Decoded>();
  #size = 0;

  find(id: string, payload: string): SessionContent | undefined {
    const recent = this.#recent.get(id);
    if (recent !== undefined) return recent.payload === payload ? recent.content : undefined;
    const older = this.#older.get(id);
    if (older?.payload !== payload) return undefined;
    this.keep(id, older.payload, older.content, older.ends);
    return older.content;
  }

  /** The text of a content that is kept, if it was written entry by entry. */
  textOf(id: string, content: SessionContent): ContentText | undefined {
    const decoded = this.#recent.get(id) ?? this.#older.get(id);
    if (decoded?.content !== content || decoded.ends === undefined) return undefined;
    return { payload: decoded.payload, ends: decoded.ends };
  }

  keep(id: string, payload: string, content: SessionContent, ends?: readonly number[]): void {
    const size = payload.length + entrySize;
    if (size > largestSize) return;
    if (this.#size + size > generationSize) {
      this.#older = this.#recent;
      this.#recent = new Map();
      this.#size = 0;
    }
    // What is replaced goes on counting: the generation ends a little earlier.
    this.#recent.set(id, { payload, content, ends });
    this.#size += size;
  }

  /** Of a session that has ended nothing is kept. */
  forget(id: string): void {
    this.#recent.delete(id);
    this.#older.delete(id);
  }
}
