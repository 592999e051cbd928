import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "./port.js";
import { adoptDirectory, releaseDirectory, type SupervisedProcess, spawnSupervised } from "./supervisor.js";

/** Where a server lives: a port of its own on the loopback interface, and a directory that is removed with it. */
export interface ServerPlace {
  readonly port: number;
  readonly dir: string;
}

export interface ServerOptions {
  /** What messages and the directory call it, such as `redis`. */
  readonly name: string;
  /** The binary, as a path or as found on the PATH. */
  readonly command: string;
  readonly args: (place: ServerPlace) => readonly string[];
  readonly url: (place: ServerPlace) => string;
  /**
   * Asked every 20 ms until it answers true; a rejection is a no. Should make sure that it talks to process `pid`: after
   * a collision of ports another test's server would answer.
   */
  readonly ready: (place: ServerPlace & { readonly pid: number }) => Promise<boolean>;
  /** Fills the directory before the first start, such as `initdb`. */
  readonly prepare?: (place: ServerPlace) => Promise<void>;
  /** The user to run as, for servers that refuse root; gets the directory. See {@link unprivilegedUser}. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** Added to the environment of this process. */
  readonly env?: NodeJS.ProcessEnv;
  /** What asks it to stop. Default `SIGTERM`. */
  readonly stopSignal?: NodeJS.Signals;
  /** How long one start may take, in milliseconds. Default 60,000: the machine may be busy. */
  readonly readyTimeoutMs?: number;
}

/** A server that this process has started, on a port and in a directory of its own. It never outlives this process. */
export interface TestServer extends ServerPlace {
  readonly url: string;
  /** Of the process that runs at the moment, or ran last. */
  readonly pid: number;
  /** Stops it and removes its directory. Idempotent, and right after `kill` too. */
  stop(): Promise<void>;
  /** SIGKILL; the directory stays for `restart`. */
  kill(): Promise<void>;
  /** Starts it again on the same port, killing it first if it runs. */
  restart(): Promise<void>;
  /** SIGSTOP: connections stay open, nothing answers from here on. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** What it has written so far. */
  log(): string;
}

const startAttempts = 5;

/** Starts a server and waits until it is ready. */
export async function startServer(options: ServerOptions): Promise<TestServer> {
  for (let attempt = 1; ; attempt++) {
    const dir = mkdtempSync(join(tmpdir(), `sojourn-${options.name}-`));
    if (options.user) chownSync(dir, options.user.uid, options.user.gid);
    adoptDirectory(dir);
    const place: ServerPlace = { port: await freePort(), dir };
    try {
      await options.prepare?.(place);
      return serve(options, place, await run(options, place));
    } catch (error) {
      removeDirectory(dir);
      if (attempt === startAttempts || !isPortTaken(error)) throw error;
    }
  }
}

function serve(options: ServerOptions, place: ServerPlace, first: SupervisedProcess): TestServer {
  let current = first;
  const signal = (name: NodeJS.Signals): boolean => {
    if (current.how !== undefined) return false;
    try {
      process.kill(current.pid, name);
    } catch {
      // It has ended, and that is about to be noticed.
      return false;
    }
    return true;
  };
  const kill = async (): Promise<void> => {
    if (signal("SIGKILL")) await current.ended;
  };
  return {
    ...place,
    url: options.url(place),
    get pid() {
      return current.pid;
    },
    async stop() {
      signal(options.stopSignal ?? "SIGTERM");
      // A paused server sees its SIGTERM when it goes on.
      signal("SIGCONT");
      await Promise.race([current.ended, delay(10_000, undefined, { ref: false }).then(kill)]);
      removeDirectory(place.dir);
    },
    kill,
    async restart() {
      await kill();
      current = await run(options, place);
    },
    pause() {
      if (signal("SIGSTOP")) untilStopped(current.pid);
    },
    resume: () => void signal("SIGCONT"),
    log: () => readLog(place.dir),
  };
}

/** Blocks this process until each thread of another has stopped, where the system tells: a signal takes its time. */
function untilStopped(pid: number): void {
  const tasks = `/proc/${pid}/task`;
  if (!existsSync(tasks)) return;
  const isStopped = (task: string): boolean => {
    try {
      // "id (name) state ...": stopped, or gone and not yet mourned.
      return /\) [TtZX] /.test(readFileSync(`${tasks}/${task}/stat`, "utf8"));
    } catch {
      // It has ended.
      return true;
    }
  };
  while (!readdirSync(tasks).every(isStopped)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}

/** One start: spawns the server and resolves once it is ready. */
async function run(options: ServerOptions, place: ServerPlace): Promise<SupervisedProcess> {
  const server = await spawnSupervised({
    command: options.command,
    args: [...options.args(place)],
    cwd: place.dir,
    env: { ...process.env, ...options.env },
    ...options.user,
    log: join(place.dir, "server.log"),
  });
  const timeoutMs = options.readyTimeoutMs ?? 60_000;
  const deadline = performance.now() + timeoutMs;
  let refusal = "";
  const refuse = (error: unknown): boolean => {
    refusal = `, last with: ${error}`;
    return false;
  };
  const ready = async (): Promise<boolean> => options.ready({ ...place, pid: server.pid });
  // Whoever has taken the port may accept and say nothing.
  const late = delay(timeoutMs, false, { ref: false });
  while (!(await Promise.race([ready().catch(refuse), late]))) {
    if (server.how === undefined && performance.now() < deadline) {
      await delay(20);
      continue;
    }
    if (server.how === undefined) {
      process.kill(server.pid, "SIGKILL");
      await server.ended;
    }
    const outcome = performance.now() < deadline ? server.how : `was not ready within ${timeoutMs} ms${refusal}`;
    throw new Error(`${options.name}: ${options.command} ${outcome}\n${readLog(place.dir)}`);
  }
  return server;
}

/** Between the choice of a port and its use another process may take it. Every server says so in the system's words. */
function isPortTaken(error: unknown): boolean {
  return error instanceof Error && /address already in use/i.test(error.message);
}

function readLog(dir: string): string {
  try {
    return readFileSync(join(dir, "server.log"), "utf8");
  } catch {
    return "";
  }
}

function removeDirectory(dir: string): void {
  try {
    rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  } catch {
    // A child of the server still writes: the supervisor removes it in the end.
    return;
  }
  releaseDirectory(dir);
}
