import type { Operation } from "../operation.js";
import { checkDeadlines } from "./deadlines.js";
import { type Expectations, gatherFacts, type Violation } from "./facts.js";
import { checkLives } from "./lives.js";
import { checkAudit, checkUsers } from "./users.js";
import { checkVersions } from "./versions.js";

export type { Expectations, Violation } from "./facts.js";

/** Finds where the history of one round breaks the promises of the contract. Never blames a store that keeps them. */
export function checkHistory(operations: readonly Operation[], expectations: Expectations): Violation[] {
  const facts = gatherFacts(operations);
  return [
    ...facts.strays,
    ...checkErrors(operations),
    ...checkVersions(facts),
    ...checkLives(facts, expectations),
    ...checkDeadlines(facts, expectations),
    ...checkUsers(facts, expectations),
    ...checkAudit(facts, expectations),
  ];
}

/** An outage is UNAVAILABLE or TIMEOUT, and a read has no unknown outcome. */
function* checkErrors(operations: readonly Operation[]): Generator<Violation> {
  for (const operation of operations) {
    const { code } = operation.answer ?? {};
    if (code === undefined || code === "UNAVAILABLE" || code === "TIMEOUT") continue;
    yield { rule: "wrong-error", text: `A ${operation.call.verb} failed with ${code}.`, operations: [operation] };
  }
}

/** The facts of a violation, in the order of time, for a reader. */
export function describeViolation({ rule, text, operations }: Violation): string {
  const start = Math.min(...operations.map(({ invoked }) => invoked));
  const lines = [...new Set(operations)]
    .toSorted((a, b) => a.invoked - b.invoked)
    .slice(0, 12)
    .map(({ key, call, invoked, answered, answer }) => {
      const { verb, ...args } = call;
      const interval = `${(invoked - start).toFixed(1)}–${(answered - start).toFixed(1)} ms`;
      return `    ${interval}  ${key}  ${verb} ${JSON.stringify(args)} → ${answer === undefined ? "died" : brief(answer)}`;
    });
  return [`${rule}: ${text}`, ...lines].join("\n");
}

function brief({ status, sights, ended, code, outcomeUnknown }: NonNullable<Operation["answer"]>): string {
  const shown = sights
    .slice(0, 6)
    .map(({ session, id, version, userId }) => `${id}#${session} v${version} ${userId ?? ""}`);
  const parts = [status, code, outcomeUnknown === true ? "outcome unknown" : undefined, ...shown];
  if (ended.length > 0) parts.push(`ended ${ended.join(" ")}`);
  return parts.filter((part) => part !== undefined).join(" ");
}
