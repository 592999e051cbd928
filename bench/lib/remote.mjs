/** Calls from one process into another, which it has forked: requests and answers over their channel. */
import { fork } from "node:child_process";
import { once } from "node:events";

/** In the child: answers calls by these functions. Ends with the parent. */
export function serve(handlers) {
  process.on("disconnect", () => process.exit());
  process.on("message", async ({ name, argument }) => {
    try {
      process.send({ value: await handlers[name](argument) });
    } catch (error) {
      process.send({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  process.send("ready");
}

/** A longer call hangs, and would hold up all later ones. */
const longestCallMs = 5 * 60_000;

/** The parent's side of a server process. One call at a time. A call of a process that has ended, or hangs, fails. */
export class Remote {
  #child;

  constructor(child) {
    this.#child = child;
    // That a message did not reach it, a call learns from its end.
    child.on("error", () => {});
  }

  /** Starts a module that calls {@link serve}. */
  static async start(script, args, { execArgv = ["--expose-gc"] } = {}) {
    const child = fork(script, args, { execArgv, stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const remote = new Remote(child);
    await remote.#answer();
    return remote;
  }

  get pid() {
    return this.#child.pid;
  }

  async call(name, argument) {
    if (!this.#child.connected) throw new Error(`${name}: the process of a subject has ended`);
    const answer = this.#answer();
    this.#child.send({ name, argument });
    const { value, error } = await answer;
    if (error !== undefined) throw new Error(error);
    return value;
  }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.disconnect();
    const patience = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    await exit;
    clearTimeout(patience);
  }

  async #answer() {
    const listening = new AbortController();
    const { signal } = listening;
    const patience = setTimeout(() => this.#child.kill("SIGKILL"), longestCallMs);
    try {
      const exit = once(this.#child, "exit", { signal }).then(([code, name]) => {
        throw new Error(`the process of a subject ended: ${name ?? code}`);
      });
      const [message] = await Promise.race([once(this.#child, "message", { signal }), exit]);
      return message;
    } finally {
      clearTimeout(patience);
      listening.abort();
    }
  }
}
