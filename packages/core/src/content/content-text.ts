import type { SessionContent } from "./content.js";

/** A content as JSON, and where in it each entry of its `data` ends, in the order of the keys. */
export interface ContentText {
  readonly payload: string;
  readonly ends: readonly number[];
}

const opening = '{"data":{';
const frameOpening = '{"data":0';
/** Beyond that, to write so many by themselves costs more than it spares the next write. */
const maxEntries = 50;

/**
 * The JSON of an image (see {@link jsonImage}), entry by entry of its `data`: those that are the base's own are taken over
 * from its text, so that a write costs what has changed, not what there is.
 *
 * @param known - the text of `base`
 * @returns `undefined` for a content that is better written as a whole
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
  const before = base.data as Readonly<Record<string, unknown>>;
  const keysBefore = known === undefined ? [] : Object.keys(before);
  const ends: number[] = [];
  let text = opening;
  let at = 0;
  for (const key of keys) {
    while (at < keysBefore.length && !Object.hasOwn(data, keysBefore[at] ?? "")) at += 1;
    if (ends.length > 0) text += ",";
    const isInPlace = known !== undefined && keysBefore[at] === key;
    text += isInPlace && before[key] === data[key] ? entryAt(known, at) : entryOf(key, data[key]);
    if (isInPlace) at += 1;
    ends.push(text.length);
  }
  return { payload: `${text}}${frame.slice(frameOpening.length)}`, ends };
}

function entryAt({ payload, ends }: ContentText, at: number): string {
  const previous = ends[at - 1];
  return payload.slice(previous === undefined ? opening.length : previous + 1, ends[at]);
}

function entryOf(key: string, value: unknown): string {
  return `${JSON.stringify(key)}:${JSON.stringify(value)}`;
}
