import type { SessionContent } from "./content.js";

/** A content as JSON, with the end position of each entry of its `data`, in the order of the keys. */
export interface ContentText {
  readonly payload: string;
  readonly ends: readonly number[];
}

const opening = '{"data":{';
const frameOpening = '{"data":0';
/** Above this number, writing the entries one by one costs more than the next write saves. */
const maxEntries = 50;

/**
 * Writes a clone (see {@link cloneFrozenJson}) as JSON, entry by entry of its `data`. Copies the text of unchanged
 * entries from `known`, so that the cost of a write depends on the size of the change.
 *
 * @param known - the text of `base`
 * @returns `undefined` for a content that `JSON.stringify` writes faster as a whole
 */
export function contentText(
  content: SessionContent,
  base: SessionContent,
  known: ContentText | undefined,
): ContentText | undefined {
  const data = content.data as Readonly<Record<string, unknown>>;
  const keys = Object.keys(data);
  const frame = JSON.stringify({ ...content, data: 0 });
  if (keys.length > maxEntries || !frame.startsWith(frameOpening)) return undefined;
  const entries = new KnownEntries(base, known);
  const ends: number[] = [];
  let text = opening;
  for (const key of keys) {
    if (ends.length > 0) text += ",";
    text += entries.take(key, data) ?? entryOf(key, data[key]);
    ends.push(text.length);
  }
  return { payload: `${text}}${frame.slice(frameOpening.length)}`, ends };
}

/** Hands out the entries of a known text, in the order of its keys. */
class KnownEntries {
  readonly #before: Readonly<Record<string, unknown>>;
  readonly #text: ContentText | undefined;
  readonly #keys: readonly string[];
  #at = 0;

  constructor(base: SessionContent, text: ContentText | undefined) {
    this.#before = base.data as Readonly<Record<string, unknown>>;
    this.#text = text;
    this.#keys = text === undefined ? [] : Object.keys(this.#before);
  }

  /** Returns the text of an entry that has its old value and its old place. */
  take(key: string, data: Readonly<Record<string, unknown>>): string | undefined {
    const text = this.#text;
    if (text === undefined) return undefined;
    while (this.#at < this.#keys.length && !Object.hasOwn(data, this.#keys[this.#at] ?? "")) this.#at += 1;
    if (this.#keys[this.#at] !== key) return undefined;
    this.#at += 1;
    return this.#before[key] === data[key] ? entryAt(text, this.#at - 1) : undefined;
  }
}

function entryAt({ payload, ends }: ContentText, at: number): string {
  const previous = ends[at - 1];
  return payload.slice(previous === undefined ? opening.length : previous + 1, ends[at]);
}

function entryOf(key: string, value: unknown): string {
  return `${JSON.stringify(key)}:${JSON.stringify(value)}`;
}
