import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { randomFrom } from "../../packages/testkit/src/random.js";
import type { FaultyBackend } from "./backends.js";
import { isUnknown } from "./check/facts.js";
import { checkHistory, type Violation } from "./check/index.js";
import type { Fault } from "./faults.js";
import type { Round } from "./generator.js";
import { readJournals } from "./journal.js";
import { monotonicNow } from "./operation.js";
import { WorkerProcess } from "./worker-process.js";

export interface RunOptions {
  readonly seed: number;
  readonly rounds: (elapsedMs: number, rounds: number) => boolean;
  readonly roundMs: number;
  /** Between the last answer of a round and its audit. */
  readonly settleMs: number;
  /** The names of the faults to choose from. Default: all of the backend. */
  readonly faults?: readonly string[] | undefined;
}

export interface Figures {
  rounds: number;
  operations: number;
  /** Calls that failed, and among them writes of unknown outcome. */
  failed: number;
  unknown: number;
  slowestMs: number;
  readonly faults: Record<string, number>;
  violations: Violation[];
  /** The journals of rounds with violations. */
  readonly kept: string[];
}

const processes = 3;
const clientsPerProcess = 4;

/** Runs rounds of random calls by three processes on one backend while faults strike, and checks each. */
export async function runHistories(backend: FaultyBackend, options: RunOptions): Promise<Figures> {
  const figures: Figures = {
    rounds: 0,
    operations: 0,
    failed: 0,
    unknown: 0,
    slowestMs: 0,
    faults: {},
    violations: [],
    kept: [],
  };
  const random = randomFrom(options.seed);
  const team = new Team(backend);
  try {
    await team.start();
    const startedAt = monotonicNow();
    const isUp = (): boolean => figures.violations.every(({ rule }) => rule !== "not-recovered");
    while (isUp() && options.rounds(monotonicNow() - startedAt, figures.rounds)) {
      figures.rounds += 1;
      await runRound(backend, team, options, random, figures);
    }
  } finally {
    team.stop();
  }
  return figures;
}

/** Every third round ends with a fault that makes the backend forget, if it has one. The next begins at once. */
const forgetfulEvery = 3;

async function runRound(
  { faults }: FaultyBackend,
  team: Team,
  { seed, roundMs, settleMs, faults: chosen }: RunOptions,
  random: () => number,
  figures: Figures,
): Promise<void> {
  const before = figures.violations.length;
  const startsAt = monotonicNow() + 20;
  const round: Round = { number: figures.rounds, seed, startsAt, endsAt: startsAt + roundMs };
  const dir = mkdtempSync(join(tmpdir(), "sojourn-history-"));
  const strike = async (fault: Fault): Promise<void> => {
    figures.faults[fault.name] = (figures.faults[fault.name] ?? 0) + 1;
    await fault.strike(random);
  };
  const killWorker: Fault = { name: "kill-process", strike: () => team.killOne(random) };
  const all = [...faults, killWorker].filter(({ name }) => chosen?.includes(name) ?? true);
  const gentle = all.filter(({ forgets }) => forgets !== true);
  const forgetful = all.filter(({ forgets }) => forgets === true);

  const running = team.run(round, dir);
  for (;;) {
    await delay(200 + random() * 600);
    if (monotonicNow() > round.endsAt - 500) break;
    if (gentle.length > 0) await strike(pick(gentle, random));
  }
  let until = Number.POSITIVE_INFINITY;
  if (forgetful.length > 0 && figures.rounds % forgetfulEvery === 0) {
    until = monotonicNow();
    await strike(pick(forgetful, random));
    await running;
  } else {
    await running;
    await delay(settleMs);
    const problem = await team.audit(round, dir);
    if (problem !== undefined) figures.violations.push({ rule: "not-recovered", text: problem, operations: [] });
  }
  const operations = readJournals(team.takeJournals(), until);
  const violations = checkHistory(operations, team.expectations());
  figures.operations += operations.length;
  figures.failed += operations.filter(({ answer }) => answer?.status === "failed").length;
  figures.unknown += operations.filter(isUnknown).length;
  for (const { invoked, answered } of operations) {
    if (Number.isFinite(answered)) figures.slowestMs = Math.max(figures.slowestMs, Math.round(answered - invoked));
  }
  figures.violations.push(...violations);
  if (figures.violations.length > before) figures.kept.push(dir);
  else rmSync(dir, { recursive: true });
}

/** Three processes, of which one may be killed and replaced in the middle of a round. */
class Team {
  readonly #backend: FaultyBackend;
  readonly #members: WorkerProcess[] = [];
  #journals: string[] = [];
  #started = 0;
  #current: { readonly round: Round; readonly dir: string; readonly work: Promise<void>[] } | undefined;

  constructor(backend: FaultyBackend) {
    this.#backend = backend;
  }

  async start(): Promise<void> {
    this.#members.push(...(await Promise.all(Array.from({ length: processes }, () => this.#hire()))));
  }

  expectations(): Parameters<typeof checkHistory>[1] {
    const [member] = this.#members;
    if (member === undefined) throw new Error("There is no worker");
    const { expiryPrecisionMs, userIndex, limit } = member.capabilities;
    return { expiryPrecisionMs, isIndexAtomic: userIndex === "atomic", isLimitAtomic: limit === "atomic" };
  }

  async run(round: Round, dir: string): Promise<void> {
    const current = { round, dir, work: [] as Promise<void>[] };
    this.#current = current;
    for (const member of this.#members) this.#order(member);
    // A replacement adds its work meanwhile.
    for (let done = 0; done < current.work.length; done += 1) await current.work[done];
    this.#current = undefined;
  }

  async killOne(random: () => number): Promise<void> {
    const at = Math.floor(random() * this.#members.length);
    this.#members[at]?.kill();
    const member = await this.#hire();
    this.#members[at] = member;
    if (this.#current !== undefined && monotonicNow() < this.#current.round.endsAt) this.#order(member);
  }

  /** Returns why the backend cannot be read although all faults are mended. */
  async audit(round: Round, dir: string): Promise<string | undefined> {
    const [member] = this.#members;
    try {
      await member?.obey({ act: "audit", round, file: this.#journal(dir, "audit") });
      return undefined;
    } catch (error) {
      return String(error);
    }
  }

  takeJournals(): string[] {
    const journals = this.#journals;
    this.#journals = [];
    return journals;
  }

  stop(): void {
    for (const member of this.#members) member.kill();
  }

  #order(member: WorkerProcess): void {
    if (this.#current === undefined) return;
    const { round, dir, work } = this.#current;
    work.push(member.obey({ act: "run", round, file: this.#journal(dir, String(member.number)) }));
  }

  #journal(dir: string, name: string): string {
    const file = join(dir, `${name}.ndjson`);
    this.#journals.push(file);
    return file;
  }

  #hire(): Promise<WorkerProcess> {
    this.#started += 1;
    return WorkerProcess.start({ process: this.#started, clients: clientsPerProcess, place: this.#backend.place });
  }
}

function pick<T>(values: readonly T[], random: () => number): T {
  const value = values[Math.floor(random() * values.length)];
  if (value === undefined) throw new Error("There is nothing to pick from");
  return value;
}
