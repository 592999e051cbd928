/** The part of docs/benchmarks.md that is written by hand: why a goal is not met. */
import { goals, nameOf } from "../goals.mjs";
import { judge } from "./judge.mjs";

const heading = "## Goals not met, and why";

/**
 * Returns the faults of that part, a line each: none if it names every goal that is not met, and no other, and each list
 * of names is followed by the reason.
 *
 * @param {string} page
 * @param {ReadonlyMap<string, object>} results
 * @returns {string[]}
 */
export function wrongReasons(page, results, judged = goals) {
  const begin = page.indexOf(`\n${heading}\n`);
  if (begin < 0) return [`there is no part "${heading}"`];
  const [part] = page.slice(begin + heading.length + 2).split(/^## /m);
  const named = new Set([...part.matchAll(/^- (.*)$/gm)].map(([, name]) => name));
  const unmet = judged.filter((goal) => judge(goal, results)?.isMet === false).map(nameOf);
  return [
    ...unmet.filter((name) => !named.has(name)).map((name) => `not met, and no reason given: ${name}`),
    ...[...named].filter((name) => !unmet.includes(name)).map((name) => `not among the goals not met: ${name}`),
    ...[...part.matchAll(/^- (.*)$(?!\n- )(?!\n\n[^-#\n])/gm)].map(([, name]) => `no reason below: ${name}`),
  ];
}
