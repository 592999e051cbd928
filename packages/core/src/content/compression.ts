import { deflateRawSync, inflateRawSync } from "node:zlib";

/** The most that a compressed payload may hold: what asks for more when it is read is refused before it takes the memory. */
const maxInflatedBytes = 2 ** 24;

/** Level 1: higher ones save little on JSON of this size and cost several times the time. */
const deflateOptions = { level: 1 };

/** The text deflated, or `undefined` where that saves nothing. Throws when nobody could inflate it. */
export function deflateText(text: string): Buffer | undefined {
  const bytes = Buffer.from(text);
  if (bytes.length > maxInflatedBytes) {
    throw new RangeError(`${bytes.length} bytes exceed the ${maxInflatedBytes} that may be compressed`);
  }
  const deflated = deflateRawSync(bytes, deflateOptions);
  return deflated.length < bytes.length ? deflated : undefined;
}

/** Throws when the bytes are no deflated text, or one of more than {@link maxInflatedBytes}. */
export function inflateText(bytes: Buffer): string {
  return inflateRawSync(bytes, { maxOutputLength: maxInflatedBytes }).toString();
}
