import type { SessionContent } from "./content.js";
import type { ContentText } from "./content-text.js";

/**
 * The largest size of one generation, in characters of payload; each entry adds {@link entrySize}. A thousand sessions
 * of 10 KB, read in turn, then stay cached. Payload and content take 2.4 bytes a character at 10 KB, 2.5 at 1 KB: two
 * full generations are 60 MB.
 */
const generationSize = 12 * 2 ** 20;
/** Larger sessions are not cached: a few would evict all others. */
const largestSize = 64 * 2 ** 10;
/** The approximate memory of a Map entry and its object. */
const entrySize = 256;

interface Decoded {
  readonly payload: string;
  readonly content: SessionContent;
  /** The end positions of the data's entries in the payload, if this process has written it. */
  readonly ends: readonly number[] | undefined;
}

/**
 * Caches decoded payloads by session id. Most reads return an unchanged payload: comparing it costs a fraction of
 * parsing and freezing it again, and readers share one object. The store is still asked on each read.
 *
 * Two generations: when the recent one is full, it replaces the older one. This bounds the memory without an order to
 * maintain.
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

  /** Returns the text of a cached content, if it was written entry by entry. */
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
    // A replaced entry still counts: the generation ends a little earlier.
    this.#recent.set(id, { payload, content, ends });
    this.#size += size;
  }

  /** Drops the content of a session that has ended. */
  forget(id: string): void {
    this.#recent.delete(id);
    this.#older.delete(id);
  }
}
