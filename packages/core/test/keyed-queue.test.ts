import { expect, test } from "vitest";
import { KeyedQueue } from "../src/adapter/keyed-queue.js";
import { gate } from "./support.js";

test("tasks of one key run in order, also after one that fails; another key does not wait", async () => {
  const queue = new KeyedQueue();
  const [first, order] = [gate(), [] as string[]];
  const task =
    (name: string, before: Promise<void> = Promise.resolve()) =>
    async () => {
      await before;
      order.push(name);
      if (name === "second") throw new Error("second failed");
      return name;
    };
  const a1 = queue.run("a", task("first", first.opened));
  const a2 = queue.run("a", task("second"));
  const a3 = queue.run("a", task("third"));
  await queue.run("b", task("other"));
  first.open();
  expect(await a1).toBe("first");
  await expect(a2).rejects.toThrow("second failed");
  expect(await a3).toBe("third");
  expect(order).toEqual(["other", "first", "second", "third"]);
});

test("a task that throws before it returns a promise rejects, and the next task of the key runs", async () => {
  const queue = new KeyedQueue();
  await expect(
    queue.run("a", async () => {
      throw new Error("at once");
    }),
  ).rejects.toThrow("at once");
  expect(await queue.run("a", async () => "next")).toBe("next");
});
