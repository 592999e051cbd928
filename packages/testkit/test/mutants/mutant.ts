import { setImmediate as turn } from "node:timers/promises";
import type { Kind, SimulatedBackend, SimulatedStore } from "../simulated.js";

/** A store that breaks one promise in one way. */
interface Mutant {
  /** The fault, as a bug report would describe it. */
  readonly breaks: string;
  readonly Store: typeof SimulatedStore;
  /** The kind of backend that shows the fault. Default: `swept`. */
  readonly kind?: Kind;
}

/** The mutants, by the case that must catch them. */
export type Mutants = Readonly<Record<string, Mutant>>;

/** Returns the additional state of a broken store, made by `initial` at the first call. */
export function note<T>({ notes }: SimulatedBackend, name: string, initial: () => T): T {
  if (!notes.has(name)) notes.set(name, initial());
  // Each name is used with one `initial` function only.
  return notes.get(name) as T;
}

/** Gives other operations a turn between a read and a write that should be one step. */
export async function gap(): Promise<void> {
  await turn();
}
