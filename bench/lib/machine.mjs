import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, cpus, release, totalmem, type } from "node:os";
import { dirname, join } from "node:path";

/** The properties of the machine that the figures depend on, without any that identify it. */
export function describeMachine() {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release().split("-")[0]}`,
    node: process.version,
  };
}

const require = createRequire(import.meta.url);

/** The versions that are installed of some packages. @param {readonly string[]} names */
export function versionsOf(names) {
  return Object.fromEntries(names.map((name) => [name, versionOf(name)]));
}

function versionOf(name) {
  // Not every package exports its package.json.
  for (const directory of require.resolve.paths(name) ?? []) {
    try {
      return JSON.parse(readFileSync(join(directory, name, "package.json"), "utf8")).version;
    } catch {}
  }
  return dirname(name) === "." ? "unknown" : "workspace";
}
