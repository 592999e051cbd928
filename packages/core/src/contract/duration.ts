import { format, parse } from "@lukeed/ms";
import { invalidOption } from "./errors.js";
import { maxDurationMs } from "./validate.js";

/**
 * A length of time: a number of milliseconds, or a number with its unit, such as `"90s"`, `"30m"`, `"12h"`, `"14d"`.
 * A string without a unit is refused.
 */
export type Duration = number | `${number}${string}`;

/**
 * Returns a duration as whole milliseconds.
 *
 * @throws SessionError `INVALID_OPTION` for a value that is no duration, or outside the range from `minMs` to a hundred
 * years
 */
export function durationMs(value: Duration, option: string, minMs = 1): number {
  const ms = typeof value === "string" && /[a-z]\s*$/i.test(value) ? parse(value) : value;
  if (typeof ms === "number" && Number.isFinite(ms) && Math.round(ms) >= minMs && ms <= maxDurationMs) {
    return Math.round(ms);
  }
  const least = minMs === 0 ? "0" : `${minMs} ms`;
  const expectation = `a duration from ${least} to 100 years, in milliseconds or with a unit such as "30m"`;
  throw invalidOption("@sojourn/core", option, expectation, value);
}

/** Returns milliseconds as a text with a unit, such as `"12h"`. */
export function durationText(ms: number): string {
  const text = format(ms);
  return parse(text) === ms ? text : `${ms}ms`;
}
