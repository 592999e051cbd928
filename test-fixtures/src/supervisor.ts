import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export interface SpawnOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** The file that receives what the process writes. */
  readonly log: string;
}

/** A process that the supervisor runs for us, and kills when we are gone. */
export interface SupervisedProcess {
  readonly pid: number;
  /** How the process ended; `undefined` while it runs. */
  readonly how: string | undefined;
  readonly ended: Promise<string>;
}

type Report = { type: "spawned"; id: number; pid: number } | { type: "ended"; id: number; how: string };

let supervisor: ChildProcess | undefined;
let nextId = 1;
const listeners = new Map<number, (report: Report) => void>();

/** Starts a process that cannot outlive this one, not even when this one is killed. */
export function spawnSupervised(options: SpawnOptions): Promise<SupervisedProcess> {
  const id = nextId++;
  return new Promise((resolve, reject) => {
    let how: string | undefined;
    let settleEnded: (how: string) => void = () => {};
    const ended = new Promise<string>((settle) => {
      settleEnded = settle;
    });
    listen(id, (report) => {
      if (report.type === "spawned") {
        resolve({
          pid: report.pid,
          get how() {
            return how;
          },
          ended,
        });
        return;
      }
      unlisten(id);
      how = report.how;
      settleEnded(how);
      reject(new Error(`${options.command} ${how}`));
    });
    send({ type: "spawn", id, ...options });
  });
}

/** Has the supervisor remove a directory when this process is gone. */
export function adoptDirectory(dir: string): void {
  send({ type: "adopt", dir });
}

/** Takes back {@link adoptDirectory}. */
export function releaseDirectory(dir: string): void {
  send({ type: "release", dir });
}

function listen(id: number, listener: (report: Report) => void): void {
  listeners.set(id, listener);
}

function unlisten(id: number): void {
  listeners.delete(id);
}

function send(order: object): void {
  supervisor ??= startSupervisor();
  supervisor.send(order);
}

function startSupervisor(): ChildProcess {
  const script = fileURLToPath(new URL("./supervisor.mjs", import.meta.url));
  // Detached: Ctrl-C reaches the whole foreground group, and the servers must outlast the tests' own clean-up.
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "ignore", "inherit", "ipc"], detached: true });
  child.on("message", (report: Report) => listeners.get(report.id)?.(report));
  child.on("exit", () => {
    supervisor = undefined;
    for (const [id, listener] of listeners) listener({ type: "ended", id, how: "has lost its supervisor" });
  });
  child.unref();
  child.channel?.unref();
  return child;
}
