/** The arithmetic of the benchmarks. */

/** @param {readonly number[]} values @returns {number} */
export function median(values) {
  return spread(values).median;
}

/**
 * By linear interpolation between the two nearest ranks.
 *
 * @param {ArrayLike<number>} ascending
 * @param {number} share - 0.99 for p99
 */
export function percentile(ascending, share) {
  if (ascending.length === 0) return Number.NaN;
  const rank = share * (ascending.length - 1);
  const below = ascending[Math.floor(rank)];
  const above = ascending[Math.ceil(rank)];
  return below + (above - below) * (rank - Math.floor(rank));
}

/** @param {readonly number[]} values */
export function spread(values) {
  const ascending = sorted(values);
  return { median: percentile(ascending, 0.5), lowest: ascending[0], highest: ascending.at(-1) };
}

/**
 * The ratio of two series taken side by side: each run is compared with itself, so that what slows a whole run cancels. Runs
 * that only one of them has are left out.
 *
 * @param {readonly number[]} values
 * @param {readonly number[]} references
 */
export function compare(values, references) {
  const runs = Math.min(values.length, references.length);
  return spread(values.slice(0, runs).map((value, run) => value / references[run]));
}

/**
 * The values between which the true median lies with a certainty of 95 % or more, whatever the distribution: as many are
 * dropped at each end as chance allows. None is dropped below nine values, and five give 94 %.
 *
 * @param {readonly number[]} values - at least one
 */
export function medianInterval(values) {
  const ascending = sorted(values);
  let dropped = 0;
  while (2 * chanceOfAtMost(dropped + 1, ascending.length) <= 0.05) dropped += 1;
  return { low: ascending[dropped], high: ascending[ascending.length - 1 - dropped] };
}

/** The chance that at most `most` of `count` values fall below the true median. */
function chanceOfAtMost(most, count) {
  let chance = 0;
  let ways = 1;
  for (let below = 0; below <= most; below += 1) {
    chance += ways / 2 ** count;
    ways = (ways * (count - below)) / (below + 1);
  }
  return chance;
}

/** @param {readonly number[]} values */
function sorted(values) {
  return [...values].sort((a, b) => a - b);
}

/** A copy in random order. @template T @param {readonly T[]} items @returns {T[]} */
export function shuffled(items) {
  const copy = [...items];
  for (let last = copy.length - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1));
    [copy[last], copy[other]] = [copy[other], copy[last]];
  }
  return copy;
}
