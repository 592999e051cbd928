import { expect, test } from "vitest";
import { ReadBatch } from "../src/adapter/read-batch.js";

/** A backend that answers each batch when it is told to. */
function backend() {
  const batches: { ids: readonly string[]; answer(rows?: Record<string, string>): void; fail(error: Error): void }[] =
    [];
  const reads = new ReadBatch<string>(
    { maxIds: 100, maxInFlight: 4 },
    (ids) =>
      new Promise((resolve, reject) => {
        batches.push({ ids, answer: (rows = {}) => resolve(new Map(Object.entries(rows))), fail: reject });
      }),
  );
  return { batches, reads };
}

const nextTick = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("reads of one tick travel together, each id once", async () => {
  const { batches, reads } = backend();
  const answers = Promise.all(["a", "b", "a"].map((id) => reads.read(id)));
  await nextTurn();
  expect(batches.map(({ ids }) => ids)).toEqual([["a", "b"]]);
  batches[0]?.answer({ a: "1" });
  expect(await answers).toEqual(["1", undefined, "1"]);
});

test("reads of several ticks travel together while others are on their way, and alone at once", async () => {
  const { batches, reads } = backend();
  const answers = [reads.read("a")];
  await nextTick();
  expect(batches.map(({ ids }) => ids)).toEqual([["a"]]);
  for (const id of ["b", "c"]) {
    answers.push(reads.read(id));
    await nextTick();
  }
  expect(batches).toHaveLength(1);
  await nextTurn();
  expect(batches.map(({ ids }) => ids)).toEqual([["a"], ["b", "c"]]);
  for (const batch of batches) batch.answer();
  expect(await Promise.all(answers)).toEqual([undefined, undefined, undefined]);
});

test("a read never joins one that has been sent", async () => {
  const { batches, reads } = backend();
  const early = reads.read("a");
  await nextTurn();
  const late = reads.read("a");
  await nextTurn();
  expect(batches).toHaveLength(2);
  batches[1]?.answer();
  batches[0]?.answer({ a: "from before" });
  expect(await late).toBeUndefined();
  expect(await early).toBe("from before");
});

test("a batch has at most maxIds ids, and four batches are under way", async () => {
  const { batches, reads } = backend();
  const all = Promise.all(Array.from({ length: 520 }, (_, n) => reads.read(`${n}`)));
  await nextTurn();
  expect(batches.map(({ ids }) => ids.length)).toEqual([100, 100, 100, 100]);
  batches[0]?.answer();
  await nextTurn();
  expect(batches.map(({ ids }) => ids.length)).toEqual([100, 100, 100, 100, 100]);
  for (let n = 1; n < 6; n++) {
    batches[n]?.answer();
    await nextTurn();
  }
  expect(await all).toHaveLength(520);
  expect(batches[5]?.ids).toHaveLength(20);
});

test("a batch that fails rejects its own reads and no others", async () => {
  const { batches, reads } = backend();
  const failing = Promise.allSettled([reads.read("a"), reads.read("b")]);
  await nextTurn();
  batches[0]?.fail(new Error("down"));
  expect((await failing).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  const next = reads.read("a");
  await nextTurn();
  batches[1]?.answer({ a: "1" });
  expect(await next).toBe("1");
});
