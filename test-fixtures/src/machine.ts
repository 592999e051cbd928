import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** Where servers are installed without being on everybody's PATH. */
const serverDirectories = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"];

/** The first of `names` found on the PATH, in `extraDirectories` or in the usual places, in this order, as a full path. */
export function findBinary(names: readonly string[], extraDirectories: readonly string[] = []): string | undefined {
  const path = (process.env.PATH ?? "").split(delimiter).filter((directory) => directory !== "");
  for (const name of names) {
    for (const directory of [...path, ...extraDirectories, ...serverDirectories]) {
      if (isExecutable(join(directory, name))) return join(directory, name);
    }
  }
  return undefined;
}

/** The `bin` directories of Debian's PostgreSQL packages, the newest version first. */
export function postgresDirectories(): string[] {
  const root = "/usr/lib/postgresql";
  try {
    const versions = readdirSync(root).filter((name) => /^\d+$/.test(name));
    return versions.sort((a, b) => Number(b) - Number(a)).map((version) => join(root, version, "bin"));
  } catch {
    return [];
  }
}

/** Whom to run a server as that refuses root: the first of `names` that exists, else `nobody`. `undefined` if not root. */
export function unprivilegedUser(...names: readonly string[]): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  for (const name of [...names, "nobody"]) {
    const account = accounts.find((fields) => fields[0] === name);
    if (account) return { uid: Number(account[2]), gid: Number(account[3]) };
  }
  return { uid: 65_534, gid: 65_534 };
}

/** The children of a process. Empty where the system has no `/proc`. */
export function childrenOf(pid: number): number[] {
  return readProc(`${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);
}

/** Kills a process and resolves once it has ended. Does nothing where the system has no `/proc`. */
export async function killProcess(pid: number): Promise<void> {
  // "id (name) state ...": X and Z have ended, Z waits for its parent to read the exit code.
  while (/\) [^XZ] /.test(readProc(`${pid}/stat`))) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended since.
    }
    await delay(1);
  }
}

function readProc(file: string): string {
  try {
    return readFileSync(`/proc/${file}`, "utf8");
  } catch {
    return "";
  }
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
