import assert from "node:assert/strict";
import type { SessionStore } from "@sojourn/core";
import { type CaseContext, type ConformanceCase, hour, idsOf, session } from "../case.js";
import { type Operation, operations } from "../scenario.js";

/** The operations during which a process may die, on session "a" of user "u". */
const fatal: readonly Operation[] = [
  operations.create(session("b", { userId: "u" })),
  operations.create(session("b", { userId: "u" }), { limit: { max: 1, whenReached: "evictOldest" } }),
  operations.update("a", { payload: "p", idleMs: 2 * hour }),
  operations.update("a", { userId: "v" }),
  operations.update("a", { userId: null }),
  operations.touch("a", { idleMs: 2 * hour }),
  operations.rename("a", "b"),
  operations.rename("a", "b", { userId: "v", payload: "p" }),
  operations.destroy("a"),
  operations.destroyByUser("u"),
];

/** The largest number of requests of one operation on any store. */
const mostRequests = 20;

/** Promises 6 and 7, when a process dies in the middle. */
export const crashCases: readonly ConformanceCase[] = [
  {
    id: "crash/after-every-request",
    promise: 6,
    title: "a process that dies between two requests leaves no session alive and unlisted, or listed and not alive",
    needs: ({ openStepped }) => (openStepped === undefined ? "the harness cannot hold requests" : undefined),
    async run(context) {
      for (const operation of fatal) {
        for (let requests = 0; requests < mostRequests; requests++) {
          if (await survives(context, operation, requests)) break;
          assert.ok(requests < mostRequests - 1, `${operation.name} sends more than ${mostRequests} requests`);
        }
      }
    },
  },
];

/**
 * Lets an operation send `requests` requests, and checks the state afterwards. Returns whether the process survived:
 * the operation needed no more.
 */
async function survives(
  { harness, open, freshNamespace, pass }: CaseContext,
  operation: Operation,
  requests: number,
): Promise<boolean> {
  const namespace = freshNamespace();
  const survivor = await open(namespace);
  await survivor.create(session("a", { userId: "u" }));
  let left = Number.POSITIVE_INFINITY;
  let die = (): void => undefined;
  const death = new Promise<typeof died>((resolve) => {
    die = () => resolve(died);
  });
  const mortal = await harness.openStepped?.(namespace, () => {
    left -= 1;
    if (left >= 0) return Promise.resolve();
    die();
    return new Promise(() => undefined);
  });
  assert.ok(mortal !== undefined);
  left = requests;
  const call = operation.run(mortal, pass);
  // The process is dead: its results do not matter.
  call.catch(() => undefined);
  const end = await Promise.race([call, death]);
  await assertConsistent(survivor, `${operation.name}, dead after ${requests} requests`);
  await mortal.close();
  return end !== died;
}

const died = Symbol("died");

async function assertConsistent(store: SessionStore, what: string): Promise<void> {
  for (const userId of ["u", "v"]) {
    const listed = idsOf(await store.listByUser(userId));
    for (const id of ["a", "b"]) {
      const isAlive = (await store.get(id))?.userId === userId;
      assert.equal(
        listed.includes(id),
        isAlive,
        `${what}: ${id} is ${isAlive ? "alive and unlisted" : "listed and not alive"}`,
      );
    }
    await store.destroyByUser(userId);
    for (const id of ["a", "b"]) {
      assert.notEqual((await store.get(id))?.userId, userId, `${what}: ${id} survived destroyByUser`);
    }
    assert.deepEqual(await store.listByUser(userId), [], what);
  }
}
