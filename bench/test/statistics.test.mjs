import { expect, test } from "vitest";
import { compare, median, medianInterval, percentile, spread } from "../lib/statistics.mjs";

test("percentiles are interpolated between ranks", () => {
  expect(percentile([10, 20, 30, 40], 0.5)).toBe(25);
  expect(percentile([10, 20, 30, 40], 1)).toBe(40);
  expect(percentile([7], 0.99)).toBe(7);
  expect(percentile([], 0.5)).toBeNaN();
});

test("the median does not depend on the order of the runs", () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(spread([9, 1, 5])).toEqual({ median: 5, lowest: 1, highest: 9 });
});

test("each run is compared with itself: a machine that doubles its speed changes no ratio", () => {
  expect(compare([300, 600, 1_200], [100, 200, 400])).toEqual({ median: 3, lowest: 3, highest: 3 });
});

test("a run that only one side has is left out", () => {
  expect(compare([300, 600], [100, 200, 1])).toEqual({ median: 3, lowest: 3, highest: 3 });
});

test("the interval of the median spans all of eight values, and drops one at each end of nine", () => {
  expect(medianInterval([5, 3, 1, 2, 4])).toEqual({ low: 1, high: 5 });
  expect(medianInterval([8, 7, 6, 5, 4, 3, 2, 1])).toEqual({ low: 1, high: 8 });
  expect(medianInterval([9, 8, 7, 6, 5, 4, 3, 2, 1])).toEqual({ low: 2, high: 8 });
  expect(medianInterval([7])).toEqual({ low: 7, high: 7 });
});
