import { AssertionError } from "node:assert/strict";
import type { SessionStore } from "@sojourn/core";
import type { StoreCapabilities } from "@sojourn/core/adapter";
import { ModelBackend, ModelStore } from "./model-store.js";
import { type Operation, outcomeOf, type Scenario, stateOf } from "./scenario.js";

/** The observed results of concurrent operations. */
export interface Observation {
  /** The outcomes, by the index of the operation. */
  readonly outcomes: readonly string[];
  readonly state: string;
  /** Whether an operation had resolved before another was called. Absent: unknown. */
  precedes?(first: number, second: number): boolean;
  /** The schedule, for the message. */
  readonly history?: string;
}

/** Throws an `AssertionError` unless some serial order of the operations gives the observed results. */
export type Judge = (observation: Observation) => void;

/**
 * Runs a scenario on the model in every serial order, and checks observations against the results.
 *
 * An order counts only if it respects the observed precedence. A store whose index is `eventual` may do what the
 * contract allows: a write may miss a session that is being renamed, a session created during `destroyByUser` may be
 * ended unreported, and a session being renamed may be read and listed under both ids for a moment, also when the
 * rename then fails: a create of the new id may have found it in use.
 */
export async function judgeOf(scenario: Scenario, capabilities: StoreCapabilities): Promise<Judge> {
  const { operations } = scenario;
  const eventual = capabilities.userIndex === "eventual";
  const possible: { order: readonly number[]; outcomes: readonly string[]; state: string }[] = [];
  for (const order of permutations(operations.length)) {
    for (const variants of eventual ? variantsOf(operations) : [operations]) {
      possible.push({ order, ...(await runInOrder({ ...scenario, operations: variants }, order, capabilities)) });
    }
  }
  return ({ outcomes, state, precedes, history }) => {
    const explained = possible.some(
      (candidate) =>
        candidate.state === state &&
        candidate.outcomes.every((outcome, n) => outcome === outcomes[n]) &&
        (eventual || precedes === undefined || keeps(candidate.order, precedes)),
    );
    if (explained) return;
    const seen = operations.map(({ name }, n) => `  ${name} -> ${outcomes[n]}`);
    const allowed = possible.map(
      (candidate) =>
        `  ${candidate.order.map((n) => `${operations[n]?.name} -> ${candidate.outcomes[n]}`).join("; ")} => ${candidate.state}`,
    );
    throw new AssertionError({
      message: [
        `no order of the operations explains the outcome of: ${scenario.name}`,
        ...(history === undefined ? [] : [history]),
        ...seen,
        `  => ${state}`,
        "one of these would:",
        ...new Set(allowed),
      ].join("\n"),
    });
  };
}

/** Runs the operations one after the other, on a model whose time passes only by `pass`. */
async function runInOrder(
  scenario: Scenario,
  order: readonly number[],
  capabilities: StoreCapabilities,
): Promise<{ outcomes: string[]; state: string }> {
  let now = 1_700_000_000_000;
  const pass = async (ms: number): Promise<void> => {
    now += ms;
  };
  const store: SessionStore = new ModelStore(new ModelBackend(() => now), { expiry: capabilities.expiry });
  await scenario.arrange?.(store, pass);
  const outcomes: string[] = [];
  for (const n of order) {
    const operation = scenario.operations[n];
    if (operation !== undefined) outcomes[n] = await outcomeOf(operation, store, pass, capabilities);
  }
  return { outcomes, state: await stateOf(scenario, store, capabilities) };
}

/** Returns all combinations of the variants of the operations that an eventual store may show. */
function variantsOf(operations: readonly Operation[]): Operation[][] {
  return operations.reduce<Operation[][]>(
    (heads, operation) => heads.flatMap((head) => variants(operation, operations).map((variant) => [...head, variant])),
    [[]],
  );
}

function variants(operation: Operation, others: readonly Operation[]): Operation[] {
  const { verb, id, userId, run } = operation;
  const renamed = others.some((other) => other !== operation && other.verb === "rename" && other.id === id);
  if (verb === "update" && renamed) return [operation, { ...operation, run: async () => ({ status: "missing" }) }];
  if (verb === "touch" && renamed) return [operation, { ...operation, run: async () => false }];
  if (verb === "listByUser") return [operation, ...others.flatMap((other) => listingBothIds(operation, other))];
  if (verb !== "create" || id === undefined) return [operation];
  const allowed = [operation];
  if (others.some((other) => other.newId === id)) {
    allowed.push({ ...operation, run: async () => ({ status: "duplicate" }) });
  }
  if (userId !== undefined && others.some((other) => other.verb === "destroyByUser" && other.userId === userId)) {
    const createAndEnd: Operation["run"] = async (store, pass) => {
      const result = await run(store, pass);
      await store.destroy(id);
      return result;
    };
    allowed.push({ ...operation, run: createAndEnd });
  }
  return allowed;
}

/** A list read during a rename: it shows the session under its old id and its new one. */
function listingBothIds(list: Operation, { verb, id, newId }: Operation): Operation[] {
  if (verb !== "rename" || newId === undefined) return [];
  const run: Operation["run"] = async (store, pass) => {
    const listed = await list.run(store, pass);
    const old = Array.isArray(listed) ? listed.find((record) => record.id === id) : undefined;
    return old === undefined ? listed : [...(listed as unknown[]), { ...old, id: newId }];
  };
  return [{ ...list, run }];
}

function keeps(order: readonly number[], precedes: (first: number, second: number) => boolean): boolean {
  return order.every((second, position) => order.slice(position + 1).every((later) => !precedes(later, second)));
}

function permutations(count: number): number[][] {
  if (count === 0) return [[]];
  const last = count - 1;
  return permutations(last).flatMap((order) =>
    Array.from({ length: count }, (_, at) => [...order.slice(0, at), last, ...order.slice(at)]),
  );
}
