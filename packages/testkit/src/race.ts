import type { SessionStore } from "@sojourn/core";
import type { StoreCapabilities } from "@sojourn/core/adapter";
import { outcomeOf, type Pass, type Scenario, stateOf } from "./scenario.js";
import { judgeOf } from "./sequential.js";

/**
 * Runs the operations of a scenario at the same time, each on its own store if there are enough, and checks results and
 * final state against the model.
 *
 * @param stores - on one namespace, at least one
 * @throws AssertionError when no serial order of the operations gives the observed results
 */
export async function race(
  scenario: Scenario,
  [first, ...others]: readonly [SessionStore, ...SessionStore[]],
  pass: Pass,
): Promise<void> {
  const stores = [first, ...others];
  const { capabilities }: { capabilities: StoreCapabilities } = first;
  await scenario.arrange?.(first, pass);
  const outcomes = await Promise.all(
    scenario.operations.map((operation, n) =>
      outcomeOf(operation, stores[n % stores.length] ?? first, pass, capabilities),
    ),
  );
  const judge = await judgeOf(scenario, capabilities);
  judge({ outcomes, state: await stateOf(scenario, first, capabilities) });
}
