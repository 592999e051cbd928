import { deflateRawSync, inflateRawSync } from "node:zlib";

/** The largest content that may be compressed. Reading refuses a larger one before it allocates the memory. */
const maxInflatedBytes = 2 ** 24;

/** Level 1: higher ones save little on JSON of this size and cost several times the time. */
const deflateOptions = { level: 1 };

/**
 * Deflates a text. Returns `undefined` where that is no shorter. Throws for a text that {@link inflateText} would
 * refuse.
 */
export function deflateText(text: string): Buffer | undefined {
  const bytes = Buffer.from(text);
  if (bytes.length > maxInflatedBytes) {
    throw new RangeError(`${bytes.length} bytes exceed the ${maxInflatedBytes} that may be compressed`);
  }
  const deflated = deflateRawSync(bytes, deflateOptions);
  return deflated.length < bytes.length ? deflated : undefined;
}

/**
 * Inflates a text. Throws for bytes that are no deflated text, and for a text of more than {@link maxInflatedBytes}.
 */
export function inflateText(bytes: Buffer): string {
  return inflateRawSync(bytes, { maxOutputLength: maxInflatedBytes }).toString();
}
