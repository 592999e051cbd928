import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import type { Recorder } from "./client.js";
import type { Answer, Call, Operation } from "./operation.js";

type Line =
  | {
      readonly key: string;
      readonly call: Call;
      readonly invoked: number;
      readonly invokedAt: number;
      readonly isAudit: boolean;
    }
  | { readonly key: string; readonly answered: number; readonly answer: Answer };

/** Writes each line before it goes on: what a killed process had begun is in its file. */
export class FileRecorder implements Recorder {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, "a");
  }

  invoke(key: string, call: Call, invoked: number, invokedAt: number, isAudit: boolean): void {
    this.#write({ key, call, invoked, invokedAt, isAudit });
  }

  answer(key: string, answered: number, answer: Answer): void {
    this.#write({ key, answered, answer });
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(line: Line): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
  }
}

/**
 * Reads the operations of several files.
 *
 * @param until - answers after this moment, and calls that began after it, are left out: the backend forgot something then
 */
export function readJournals(paths: readonly string[], until: number): Operation[] {
  const operations = new Map<string, Operation>();
  const lines = paths.flatMap((path) => readFileSync(path, "utf8").split("\n")).map(parse);
  for (const line of lines) {
    if (line === undefined) continue;
    if ("call" in line) {
      if (line.invoked < until)
        operations.set(line.key, { ...line, answered: Number.POSITIVE_INFINITY, answer: undefined });
      continue;
    }
    const operation = operations.get(line.key);
    if (operation !== undefined && line.answered < until) operations.set(line.key, { ...operation, ...line });
  }
  return [...operations.values()].sort((a, b) => a.invoked - b.invoked);
}

/** The last line of a killed process may be half written. */
function parse(text: string): Line | undefined {
  try {
    return JSON.parse(text) as Line;
  } catch {
    return undefined;
  }
}
