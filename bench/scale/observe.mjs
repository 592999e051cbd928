/** How long an operation takes, and the most memory that it needed at any moment beyond what there was before. */
export async function observe(operation) {
  globalThis.gc();
  const before = process.memoryUsage().rss;
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 5);
  const begin = performance.now();
  try {
    await operation();
  } finally {
    clearInterval(timer);
  }
  peak = Math.max(peak, process.memoryUsage().rss);
  return { ms: performance.now() - begin, moreMiB: (peak - before) / 2 ** 20 };
}

/**
 * How long listing the sessions of one user takes, one list after the other, each of another user: in turns with the same in a
 * store of few sessions.
 *
 * @param lists - what lists once
 */
export async function timeLists(list, listBeside, { turns = 10, lists = 100 } = {}) {
  const run = async (act) => {
    const begin = performance.now();
    for (let n = 0; n < lists; n += 1) {
      const found = await act();
      if (found.length !== 4) throw new Error(`${found.length} sessions of a user who has 4`);
    }
    return performance.now() - begin;
  };
  let ms = 0;
  let msBeside = 0;
  await run(listBeside);
  await run(list);
  for (let turn = 0; turn < turns; turn += 1) {
    ms += await run(list);
    msBeside += await run(listBeside);
  }
  return { ms: ms / turns / lists, msBeside: msBeside / turns / lists };
}

/** So many operations, a thousand at a time. */
export async function inBatches(count, act) {
  for (let start = 0; start < count; start += 1_000) {
    await Promise.all(Array.from({ length: Math.min(1_000, count - start) }, (_, n) => act(start + n)));
  }
}
