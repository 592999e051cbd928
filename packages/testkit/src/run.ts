import { AssertionError } from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { isSessionError, type SessionError, type SessionStore } from "@sojourn/core";
import type { CaseContext, ConformanceCase } from "./case.js";
import type { ConformanceHarness } from "./harness.js";

/** Sets how thorough a run is. */
export interface ConformanceOptions {
  /** The number of repetitions of each race. Default 20. */
  readonly rounds?: number | undefined;
  /**
   * The fraction of the full number of sessions in cases about numbers (10,000 expiries, 150,000 cleared). Default
   * 0.02.
   */
  readonly scale?: number | undefined;
}

/**
 * Runs one case on its own namespace, and closes the stores that it opened.
 *
 * For runners that `describeConformance` does not support.
 *
 * @returns the reason why the case does not apply to this backend, or `undefined` when it ran and passed
 */
export async function runConformanceCase(
  conformanceCase: ConformanceCase,
  harness: ConformanceHarness,
  { rounds = 20, scale = 0.02 }: ConformanceOptions = {},
): Promise<string | undefined> {
  const opened: SessionStore[] = [];
  const namespace = freshNamespace();
  const open = async (on = namespace): Promise<SessionStore> => {
    const store = await harness.open(on);
    opened.push(store);
    return store;
  };
  const pass = async (ms: number): Promise<void> => {
    if (harness.pass !== undefined) return harness.pass(ms);
    // A timer may fire a millisecond early.
    await sleep(ms + 1);
  };
  try {
    const store = await open();
    const { capabilities } = store;
    const reason = conformanceCase.needs?.(harness, capabilities);
    if (reason !== undefined) return reason;
    const context: CaseContext = {
      harness,
      namespace,
      store,
      capabilities,
      rounds,
      scaled: (count) => Math.max(1, Math.round(count * scale)),
      open,
      freshNamespace,
      pass,
      outlive: (ms) => pass(ms + 2 * capabilities.expiryPrecisionMs),
    };
    await conformanceCase.run(context);
    return undefined;
  } catch (error) {
    throw isSessionError(error) ? unexpected(error) : error;
  } finally {
    await Promise.all(opened.map((store) => store.close()));
  }
}

/** An unexpected rejection of the store fails the case, as a wrong result does. */
function unexpected(cause: SessionError): AssertionError {
  const error = new AssertionError({ message: `the store rejects with ${cause.code}: ${cause.message}` });
  error.cause = cause;
  return error;
}

function freshNamespace(): string {
  return `t${randomBytes(8).toString("hex")}`;
}
