/** Writes the results into docs/benchmarks.md, between the marks that it has for them, and draws the charts. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readResults } from "../lib/results.mjs";
import { appChart, headlineChart, storeChart } from "./charts.mjs";
import { wrongReasons } from "./reasons.mjs";
import { goalsTable, suiteTables } from "./tables.mjs";

const docs = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "docs");
const charts = join(docs, "benchmarks");

/** @returns what the part of the page that is written by hand has to have changed, a line each */
export function writeReport() {
  const results = readResults();
  mkdirSync(charts, { recursive: true });
  writeFileSync(join(charts, "headline.svg"), headlineChart(results));
  const parts = { goals: goalsTable(results), machine: machineOf(results) };
  for (const [suite, result] of results) {
    const chart = chartOf(result);
    if (chart !== undefined) writeFileSync(join(charts, `${suite}.svg`), chart);
    const image = chart === undefined ? "" : `![${result.title}](benchmarks/${suite}.svg)\n\n`;
    parts[suite] = image + suiteTables(result);
  }
  const page = join(docs, "benchmarks.md");
  const text = filled(readFileSync(page, "utf8"), parts);
  writeFileSync(page, text);
  return wrongReasons(text, results);
}

function chartOf(result) {
  if (result.suite.startsWith("scale-")) return undefined;
  return ["express", "fastify"].includes(result.suite) ? appChart(result) : storeChart(result);
}

/** Replaces what stands between `<!-- bench:name -->` and `<!-- /bench:name -->`. */
export function filled(page, parts) {
  return Object.entries(parts).reduce((text, [name, part]) => {
    const [begin, end] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
    const from = text.indexOf(begin);
    const to = text.indexOf(end);
    if (from < 0 || to < from) throw new Error(`docs/benchmarks.md has no place for "${name}"`);
    return `${text.slice(0, from + begin.length)}\n\n${part}\n\n${text.slice(to)}`;
  }, page);
}

function machineOf(results) {
  const machines = new Set();
  for (const { machine, takenAt, length } of results.values()) {
    const { cpu, cores, memoryGiB, system, node } = machine;
    machines.add(`${takenAt}, ${length} runs: ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}, Node ${node}`);
  }
  return [...machines].map((line) => `- ${line}`).join("\n");
}
