import { expect, test } from "vitest";
import { durationMs } from "../src/bridge/index.js";
import type { Duration } from "../src/index.js";

test.each<[Duration, number]>([
  [1, 1],
  [1_500.4, 1_500],
  ["90s", 90_000],
  ["30m", 1_800_000],
  ["1.5h", 5_400_000],
  ["400 days", 400 * 86_400_000],
])("%s is %d ms", (duration, ms) => {
  expect(durationMs(duration, "idleTimeout")).toBe(ms);
});

test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 3.2e12, "", "30", "30x", "m", "-5m", "0m", null, {}, 5n])(
  "%s is refused with the option's name and the value",
  (value) => {
    // Values that a JavaScript caller may pass.
    expect(() => durationMs(value as Duration, "idleTimeout")).toThrow(
      /^@sojourn\/core: option "idleTimeout" must be a duration from 1 ms to 100 years, .*, received ./,
    );
  },
);
