import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Where servers are installed without being on everybody's PATH. */
const serverDirectories = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"];

/** The first of `names` found on the PATH, in the usual places or in `extraDirectories`, as a full path. */
export function findBinary(names: readonly string[], extraDirectories: readonly string[] = []): string | undefined {
  const path = (process.env.PATH ?? "").split(delimiter).filter((directory) => directory !== "");
  for (const name of names) {
    for (const directory of [...extraDirectories, ...path, ...serverDirectories]) {
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

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
