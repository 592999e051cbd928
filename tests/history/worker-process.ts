import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { StoreCapabilities } from "@sojourn/core/adapter";
import type { Order, Report, WorkerOptions } from "./worker.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const script = fileURLToPath(new URL("./worker.ts", import.meta.url));

/** The parent's side of a worker. */
export class WorkerProcess {
  readonly capabilities: StoreCapabilities;
  readonly number: number;
  readonly #child: ChildProcess;
  #isKilled = false;

  private constructor(child: ChildProcess, number: number, capabilities: StoreCapabilities) {
    this.#child = child;
    this.number = number;
    this.capabilities = capabilities;
  }

  static async start(options: WorkerOptions): Promise<WorkerProcess> {
    // Of the sources, as the tests are; here without vitest's own arguments.
    const child = fork(script, [JSON.stringify(options)], { cwd: root, execArgv: ["--import", "tsx"] });
    const report = await nextReport(child);
    if (report.type !== "ready") throw new Error(`A worker did not start: ${JSON.stringify(report)}`);
    return new WorkerProcess(child, options.process, report.capabilities);
  }

  /** Resolves when the order has been carried out, or the process was killed. */
  async obey(order: Order): Promise<void> {
    const report = nextReport(this.#child).catch((error: unknown) => {
      if (!this.#isKilled) throw error;
    });
    this.#child.send(order);
    const outcome = await report;
    if (outcome?.type === "failed") throw new Error(`Worker ${this.number}: ${outcome.message}`);
  }

  /** SIGKILL, in the middle of its calls. */
  kill(): void {
    this.#isKilled = true;
    this.#child.kill("SIGKILL");
  }
}

function nextReport(child: ChildProcess): Promise<Report> {
  return new Promise((resolve, reject) => {
    const onMessage = (report: Report): void => {
      child.off("exit", onExit);
      resolve(report);
    };
    const onExit = (code: number | null, signal: string | null): void => {
      child.off("message", onMessage);
      reject(new Error(`A worker ended with ${code ?? signal}`));
    };
    child.once("message", onMessage);
    child.once("exit", onExit);
  });
}
