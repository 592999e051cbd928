// Finds and runs the commands of this machine, for the other scripts.
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import path from "node:path";

/**
 * Runs a command to its end, or for ten minutes. Throws with the last lines of its output when it fails.
 *
 * @param {string} command @param {string[]} args @param {string} cwd
 */
export function run(command, args, cwd) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8", timeout: 600_000 });
  if (error) throw error;
  if (status !== 0) throw new Error(lastLines(`${stdout}${stderr}`));
}

/** @param {string[]} names @param {string[]} [directories] */
export function hasBinary(names, directories = []) {
  const usual = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"];
  const all = [...directories, ...(process.env.PATH ?? "").split(path.delimiter), ...usual];
  return names.some((name) => all.some((directory) => isExecutable(path.join(directory, name))));
}

/** @param {string} file */
export function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} output */
export function lastLines(output) {
  return output.trim().split("\n").slice(-5).join("\n  ");
}
