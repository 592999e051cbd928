import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const ticksPerSecond = process.platform === "linux" ? Number(execFileSync("getconf", ["CLK_TCK"])) : 100;

/**
 * The CPU time that a process and its children have taken so far, in microseconds; children that have ended included.
 * Advances in steps of a clock tick, 10 ms as a rule. `undefined` where there is no /proc.
 *
 * @param {number} pid
 */
export function cpuOf(pid) {
  if (process.platform !== "linux") return undefined;
  let ticks = 0;
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const fields = statOf(entry);
    if (fields === undefined) continue;
    const [parent, user, system, childUser, childSystem] = fields;
    if (Number(entry) === pid) ticks += user + system + childUser + childSystem;
    else if (parent === pid) ticks += user + system;
  }
  return (ticks / ticksPerSecond) * 1_000_000;
}

/** Parent, and the four times: fields 4 and 14 to 17 of proc(5), counted behind the name, which may hold anything. */
function statOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .map(Number);
    return [fields[1], ...fields.slice(11, 15)];
  } catch {
    return undefined;
  }
}
