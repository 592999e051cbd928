import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const resultsDirectory = join(dirname(dirname(fileURLToPath(import.meta.url))), "results");

/** Rows of one key each, such as subject and operation, and with what each run measured. */
export class Table {
  rows = [];
  #byKey = new Map();

  /** @param {object} key @param {Record<string, number>} measured */
  addRun(key, measured) {
    const text = JSON.stringify(key);
    let row = this.#byKey.get(text);
    if (row === undefined) {
      row = { ...key, runs: [] };
      this.#byKey.set(text, row);
      this.rows.push(row);
    }
    row.runs.push(rounded(measured));
  }
}

/** Four digits: a benchmark has no more. */
function rounded(measured) {
  return Object.fromEntries(Object.entries(measured).map(([name, value]) => [name, Number(value.toPrecision(4))]));
}

/** @param {{ suite: string }} result */
export function writeResult(result, directory = resultsDirectory) {
  mkdirSync(directory, { recursive: true });
  const { rows, ...head } = result;
  // A line for each row: a change of one figure is a change of one line.
  const lines = rows.map((row) => `    ${JSON.stringify(row)}`).join(",\n");
  const text = JSON.stringify({ ...head, rows: [] }, null, 2).replace(/"rows": \[\]/, () => `"rows": [\n${lines}\n  ]`);
  writeFileSync(join(directory, `${result.suite}.json`), `${text}\n`);
}

/** @returns {Map<string, object>} the result of each suite that has been run */
export function readResults(directory = resultsDirectory) {
  const files = readdirSync(directory).filter((name) => name.endsWith(".json"));
  const results = files.map((name) => JSON.parse(readFileSync(join(directory, name), "utf8")));
  return new Map(results.map((result) => [result.suite, result]));
}
