import { compare, spread } from "../lib/statistics.mjs";

/**
 * Judges a goal by the results.
 *
 * @param {import("../goals.mjs").Goal} goal
 * @param {ReadonlyMap<string, object>} results - by suite
 * @returns the median over the runs with the lowest and the highest, and whether it is met; `undefined` where nothing was
 * measured
 */
export function judge({ measure, referenceMeasure = measure, of, to, atLeast, atMost }, results) {
  const values = valuesOf(results, of, measure);
  const references = to && valuesOf(results, to, referenceMeasure);
  if (values === undefined || (to !== undefined && references === undefined)) return undefined;
  const figure = references === undefined ? spread(values) : compare(values, references);
  const isMet = atLeast === undefined ? figure.median <= atMost : figure.median >= atLeast;
  return { ...figure, isMet };
}

/** The values of one row in each run. */
export function valuesOf(results, { suite, ...key }, measure) {
  const row = results
    .get(suite)
    ?.rows.find(
      (candidate) => !candidate.counted && Object.entries(key).every(([name, value]) => candidate[name] === value),
    );
  return row?.runs.every((run) => Number.isFinite(run[measure])) ? row.runs.map((run) => run[measure]) : undefined;
}
