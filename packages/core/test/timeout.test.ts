import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { withTimeout } from "../src/adapter/index.js";

test("a time limit beyond what a timer can hold does not fire at once", async () => {
  expect(await withTimeout(delay(20, "answer"), 2 ** 40, "test")).toBe("answer");
});
