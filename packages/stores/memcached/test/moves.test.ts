import { setTimeout as sleep } from "node:timers/promises";
import type { SessionStore } from "@sojourn/core";
import { resolveMemcached } from "@sojourn/test-fixtures";
import { afterAll, describe, expect, test } from "vitest";
import { clientOf, holdAfter, openOn } from "./harness.js";

const server = await resolveMemcached();
const opened: SessionStore[] = [];

afterAll(async () => {
  await Promise.all(opened.map((store) => store.close()));
  await server.stop();
});

const hour = 3_600_000;
const lifetime = { payload: "p", idleMs: hour, absoluteMs: 24 * hour };
const limit = { max: 2, whenReached: "evictOldest" } as const;
let namespaces = 0;

function freshNamespace(): string {
  return `moves ${process.pid} ${namespaces++}`;
}

async function open(namespace: string): Promise<SessionStore> {
  const store = await openOn(clientOf(server.url), { namespace });
  opened.push(store);
  return store;
}

/** Of `ids`, those that are alive. */
async function alive(store: SessionStore, ids: readonly string[]): Promise<string[]> {
  const found = await Promise.all(ids.map((id) => store.get(id)));
  return ids.filter((_, n) => found[n] !== undefined);
}

interface Outcome {
  readonly status: string;
  readonly evicted?: readonly string[];
}

type Operation<Result> = (store: SessionStore) => Promise<Result>;

/** Moves by which user "u" gains a third session. `source` is the id before the move. */
const gains: readonly [name: string, source: string, operation: Operation<Outcome>][] = [
  ["a login", "anonymous", (store) => store.rename("anonymous", "new", { userId: "u" }, { limit })],
  ["a login that keeps its id", "anonymous", (store) => store.update("anonymous", { userId: "u" }, { limit })],
  ["a rename from another user", "v1", (store) => store.rename("v1", "new", { userId: "u" }, { limit })],
  ["a change of user", "v1", (store) => store.update("v1", { userId: "u" }, { limit })],
];

const renames: readonly [name: string, source: string, operation: Operation<Outcome>][] = [
  ["a rename", "u1", (store) => store.rename("u1", "new")],
  ["a rename with log-out", "u1", (store) => store.rename("u1", "new", { userId: null })],
  ["a rename of an anonymous session", "anonymous", (store) => store.rename("anonymous", "new")],
  ["a login", "anonymous", (store) => store.rename("anonymous", "new", { userId: "u" }, { limit })],
  ["a rename to another user", "v1", (store) => store.rename("v1", "new", { userId: "u" }, { limit })],
];

const logout: [name: string, end: (witness: SessionStore) => Promise<unknown>] = [
  "logged out",
  (witness) => witness.destroyByUser("v"),
];

async function populated(namespace: string): Promise<SessionStore> {
  const witness = await open(namespace);
  for (const id of ["u1", "u2"]) await witness.create({ id, userId: "u", ...lifetime });
  await witness.create({ id: "v1", userId: "v", ...lifetime });
  await witness.create({ id: "anonymous", ...lifetime });
  return witness;
}

/** Holds `operation` after each number of requests, runs `meanwhile`, and lets it go on. */
async function holdAfterEachRequest(
  operation: Operation<Outcome>,
  meanwhile: (witness: SessionStore) => Promise<void>,
  judge: (witness: SessionStore, outcome: Outcome, explanation: string) => Promise<void>,
): Promise<void> {
  for (let requests = 0; ; requests++) {
    expect(requests).toBeLessThan(40);
    const namespace = freshNamespace();
    const witness = await populated(namespace);
    const held = await holdAfter(requests, server.url, namespace, operation);
    await meanwhile(witness);
    held.release();
    await judge(witness, await held.outcome, `held after ${requests} requests`);
    await held.close();
    if (!held.isHeld) return;
  }
}

describe.each(gains)("%s that needs another session gone", (_, source, operation) => {
  const ends: readonly [name: string, end: (witness: SessionStore) => Promise<unknown>][] = [
    ["destroyed", (witness) => witness.destroy(source)],
    ["renamed", (witness) => witness.rename(source, "elsewhere")],
    ...(source === "v1" ? [logout] : []),
  ];
  test.each(ends)("evicts no session when its own is %s meanwhile", async (_name, end) => {
    const outcomes = new Set<string>();
    let before: string[] = [];
    await holdAfterEachRequest(
      operation,
      async (witness) => {
        await end(witness);
        before = await alive(witness, ["u1", "u2"]);
      },
      async (witness, { status, evicted = [] }, explanation) => {
        outcomes.add(status);
        const isMissing = status === "missing";
        const survivors = await alive(witness, ["u1", "u2"]);
        expect(survivors, explanation).toEqual(isMissing ? ["u1", "u2"] : ["u2"]);
        for (const id of survivors) expect(before, `${explanation}: ${id} has come back`).toContain(id);
        expect(evicted, explanation).toEqual(isMissing ? [] : ["u1"]);
        const records = await Promise.all(
          ["u1", "u2", "v1", "anonymous", "new", "elsewhere"].map((id) => witness.get(id)),
        );
        const theirs = records.flatMap((record) => (record?.userId === "u" ? record.id : []));
        expect((await witness.listByUser("u")).map(({ id }) => id).sort(), explanation).toEqual(theirs.sort());
      },
    );
    expect(outcomes).toContain("missing");
    expect(outcomes.size).toBe(2);
  });
});

describe.each(renames)("%s", (_, source, operation) => {
  test("shows no new id until it has decided, and none at all when it answers missing", async () => {
    const outcomes = new Set<string>();
    let seen: (string | undefined)[] = [];
    await holdAfterEachRequest(
      operation,
      async (witness) => {
        const [old, next] = [await witness.get(source), await witness.get("new")];
        expect([old, next].filter((record) => record !== undefined)).toHaveLength(1);
        const wasEnded = (await witness.destroy(source)) !== undefined;
        expect(wasEnded).toBe(old !== undefined);
        seen = [old?.id, next?.id];
        if (wasEnded) expect(await witness.get("new")).toBeUndefined();
      },
      async (witness, { status }, explanation) => {
        outcomes.add(status);
        expect(seen, explanation).toEqual(status === "missing" ? [source, undefined] : [undefined, "new"]);
        expect(await alive(witness, [source, "new"]), explanation).toEqual(status === "missing" ? [] : ["new"]);
      },
    );
    expect([...outcomes].sort()).toEqual(["missing", "renamed"]);
  });
});

test("200 logins race the destruction of their sessions: logins that answer missing evict no session", async () => {
  const namespace = freshNamespace();
  const [one, other] = [await open(namespace), await open(namespace)];
  const counts = { missing: 0, renamed: 0 };
  for (let round = 0; round < 200; round++) {
    const userId = `u${round}`;
    for (const n of [1, 2]) await one.create({ id: `${userId} ${n}`, userId, ...lifetime });
    await one.create({ id: `anonymous ${round}`, ...lifetime });
    const [outcome] = await Promise.all([
      one.rename(`anonymous ${round}`, `new ${round}`, { userId }, { limit }),
      sleep(round % 4).then(() => other.destroy(`anonymous ${round}`)),
    ]);
    const listed = (await other.listByUser(userId)).map(({ id }) => id);
    if (outcome.status === "missing") expect(listed).toEqual([`${userId} 1`, `${userId} 2`]);
    else expect(new Set(listed)).toEqual(new Set([`${userId} 2`, `new ${round}`]));
    counts[outcome.status as keyof typeof counts]++;
  }
  console.log(`200 logins against destroy: ${counts.missing} missing, ${counts.renamed} renamed`);
  expect(counts.missing).toBeGreaterThan(0);
});
