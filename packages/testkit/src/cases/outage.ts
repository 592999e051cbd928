import assert from "node:assert/strict";
import { isSessionError, type SessionError, type SessionStore } from "@sojourn/core";
import { type CaseContext, type ConformanceCase, idsOf, second, session } from "../case.js";
import type { ConformanceHarness } from "../harness.js";
import { everyMethod } from "./every-method.js";

/** Promise 11: a backend that is down is an error, in time, and nothing else. */
export const outageCases: readonly ConformanceCase[] = [
  {
    id: "outage/every-method-rejects",
    promise: 11,
    exclusive: true,
    title: "while the backend is down every method rejects UNAVAILABLE or TIMEOUT, and it recovers by itself",
    needs: needsOutage,
    async run({ store, capabilities, harness }) {
      await store.create(session("a", { userId: "u" }));
      await during(harness, async () => {
        await Promise.all(everyMethod(capabilities).map(([name, call]) => assertUnavailable(call(store), name)));
      });
      await assertRecovers(store);
    },
  },
  {
    id: "outage/down-at-start",
    promise: 11,
    exclusive: true,
    title: "a store whose backend is down at start rejects, and recovers by itself",
    needs: needsOutage,
    async run({ open, harness, freshNamespace }) {
      const namespace = freshNamespace();
      const store = await during(harness, async () => {
        try {
          const opened = await within(open(namespace), "opening a store");
          await assertUnavailable(opened.get("a"), "get");
          await assertUnavailable(opened.create(session("a")), "create");
          return opened;
        } catch (error) {
          // Opening may need the backend. It then rejects, and is repeated.
          if (error instanceof assert.AssertionError) throw error;
          assert.ok(isUnavailable(error), `opening a store rejects with ${error}`);
          return undefined;
        }
      });
      await assertRecovers(store ?? (await openInTime(open, namespace)));
    },
  },
  {
    id: "outage/an-unknown-outcome-is-said",
    promise: 11,
    exclusive: true,
    title: "the error of a write that timed out says that its outcome is unknown",
    needs: needsOutage,
    async run({ store, harness }) {
      await store.create(session("a"));
      await during(harness, async () => {
        const error: unknown = await within(store.update("a", { payload: "p" }), "update").catch((cause) => cause);
        assert.ok(isUnavailable(error), `update rejects with ${error}`);
        assert.ok(error.retryable, "an outage is not retryable");
        if (error.code === "TIMEOUT") assert.ok(error.outcomeUnknown, "a write that timed out claims a known outcome");
      });
      await assertRecovers(store);
    },
  },
];

function needsOutage({ outage }: ConformanceHarness): string | undefined {
  return outage === undefined ? "the harness cannot make the backend unreachable" : undefined;
}

async function during<T>(harness: ConformanceHarness, work: () => Promise<T>): Promise<T> {
  await harness.outage?.begin();
  try {
    return await work();
  } finally {
    await harness.outage?.end();
  }
}

async function assertUnavailable(call: Promise<unknown>, name: string): Promise<void> {
  const outcome = await within(call, name).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  assert.ok(!("value" in outcome), `${name} resolves while the backend is down`);
  assert.ok(isUnavailable(outcome.error), `${name} rejects with ${outcome.error} while the backend is down`);
}

function isUnavailable(error: unknown): error is SessionError {
  return isSessionError(error, "UNAVAILABLE") || isSessionError(error, "TIMEOUT");
}

/** Far longer than any sensible timeout of a store: distinguishes slow from hanging. */
const patienceMs = 60 * second;

async function within<T>(call: Promise<T>, name: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const hanging = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new assert.AssertionError({ message: `${name} has not settled after ${patienceMs} ms` }));
    }, patienceMs);
  });
  try {
    return await Promise.race([call, hanging]);
  } finally {
    clearTimeout(timer);
  }
}

async function assertRecovers(store: SessionStore): Promise<void> {
  await untilAvailable(async () => {
    await store.destroy("recovered");
    assert.equal((await store.create(session("recovered", { userId: "u" }))).status, "created");
  });
  assert.equal((await store.get("recovered"))?.id, "recovered");
  assert.ok(idsOf(await store.listByUser("u")).includes("recovered"));
}

async function openInTime(open: CaseContext["open"], namespace: string): Promise<SessionStore> {
  return untilAvailable(() => open(namespace));
}

async function untilAvailable<T>(attempt: () => Promise<T>): Promise<T> {
  const end = performance.now() + patienceMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      if (performance.now() > end) assert.fail(`the store has not recovered ${patienceMs} ms after the outage`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
