/**
 * Runs a suite of many sessions: every subject alone, in a process of its own. Beside the store that is measured there is one of
 * `besideOf` sessions, asked in turns with it: what a number of sessions costs shows in no other way on a machine whose speed
 * changes from one minute to the next.
 */
import { fileURLToPath } from "node:url";
import { Remote } from "./remote.mjs";
import { Table } from "./results.mjs";
import { shuffled } from "./statistics.mjs";

export const besideOf = 10_000;
const workerScript = fileURLToPath(new URL("scale-worker.mjs", import.meta.url));

/**
 * @param {object} suite - a module of scale/
 * @param {{ length: "short" | "full" | "smoke", runs: number, log: (line: string) => void }} options
 * @returns rows of results
 */
export async function runScaleSuite(suite, { length, runs, log }) {
  const { path, subjects, start, sizes, execArgv, runsInside = false } = suite;
  const table = new Table();
  const names = Object.keys(subjects).filter((name) => length === "full" || !subjects[name].isExtra);
  for (let run = 0; run < (runsInside ? 1 : runs); run += 1) {
    for (const name of shuffled(names)) {
      for (const sessions of sizes[length].filter(
        (size) => size <= (subjects[name].most ?? Number.POSITIVE_INFINITY),
      )) {
        log(`${name}: ${sessions} sessions`);
        const server = await start?.();
        const beside = await start?.();
        try {
          const remote = await Remote.start(workerScript, [path, name], { execArgv });
          const measured = await remote.call("measure", { url: server?.url, urlBeside: beside?.url, sessions, runs });
          await remote.stop();
          for (const { key, figures } of measured) table.addRun({ subject: name, ...key }, figures);
        } finally {
          await server?.stop();
          await beside?.stop();
        }
      }
    }
  }
  return table.rows;
}
