import { setImmediate as turn } from "node:timers/promises";
import type { Kind, SimulatedBackend, SimulatedStore } from "../simulated.js";

/** A store that breaks one promise in one way. */
interface Mutant {
  /** What it does wrong, as its author might have put it in a bug report. */
  readonly breaks: string;
  readonly Store: typeof SimulatedStore;
  /** The kind of backend that it needs to be asked at all. Default: `swept`. */
  readonly kind?: Kind;
}

/** Mutants by the case that has to catch them. */
export type Mutants = Readonly<Record<string, Mutant>>;

/** What a broken store keeps beside the sessions, made by `initial` the first time. */
export function note<T>({ notes }: SimulatedBackend, name: string, initial: () => T): T {
  if (!notes.has(name)) notes.set(name, initial());
  // Whoever asks by this name made it by the same function.
  return notes.get(name) as T;
}

/** What separates a read from a write where there should be no gap: everybody else gets to run. */
export async function gap(): Promise<void> {
  await turn();
}
