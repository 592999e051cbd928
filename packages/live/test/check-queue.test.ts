import { expect, test } from "vitest";
import { CheckQueue } from "../src/check-queue.js";

/** A queue whose checks wait until they are answered. */
function openQueue() {
  const running: { item: number; answer: () => void }[] = [];
  const started: number[] = [];
  const queue = new CheckQueue<number>((item) => {
    started.push(item);
    return new Promise((resolve) => running.push({ item, answer: resolve }));
  });
  const answerAll = (): Promise<void> => {
    for (const { answer } of running.splice(0)) answer();
    return new Promise((resolve) => setImmediate(resolve));
  };
  return { queue, running, started, answerAll };
}

test("at most 500 checks run at a time, and all of them run", async () => {
  const { queue, running, started, answerAll } = openQueue();
  for (let item = 0; item < 1_200; item++) queue.add(item);
  const sizes: number[] = [];
  while (running.length > 0) {
    sizes.push(running.length);
    await answerAll();
  }
  expect(sizes).toEqual([500, 500, 200]);
  expect(started).toEqual(Array.from({ length: 1_200 }, (_item, index) => index));
});

test("an item that is added while its check runs is checked once more, afterwards", async () => {
  const { queue, running, started, answerAll } = openQueue();
  for (let times = 0; times < 3; times++) queue.add(7);
  expect(running).toHaveLength(1);
  await answerAll();
  expect(started).toEqual([7, 7]);
  await answerAll();
  expect([started, running]).toEqual([[7, 7], []]);
});
