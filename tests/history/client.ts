import { isSessionError, type SessionStore } from "@sojourn/core";
import type { SessionChange } from "@sojourn/core/adapter";
import { type ClientName, Generator, idsOf, type Round, usersOf } from "./generator.js";
import { type Answer, type Call, monotonicNow, type Operation, sightOf } from "./operation.js";

/** Hears of each call before it is made and after it is answered. */
export interface Recorder {
  invoke(key: string, call: Call, invoked: number, invokedAt: number, isAudit: boolean): void;
  answer(key: string, answered: number, answer: Answer): void;
}

/** Runs the random calls of one client, one after the other, until the round ends. */
export async function runClient(
  store: SessionStore,
  round: Round,
  name: ClientName,
  recorder: Recorder,
  isStopped: () => boolean = () => false,
): Promise<void> {
  const generator = new Generator(round, name);
  const keys = keysOf(`${name.process}.${name.client}.${round.number}`);
  for (let now = monotonicNow(); now < round.endsAt && !isStopped(); now = monotonicNow()) {
    const answer = await perform(store, generator.next(now), keys(), recorder, false);
    generator.learn(answer.sights);
    // An outage that is noticed at once must not fill the history.
    if (answer.status === "failed") await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Reads every id and every user of a round that has ended. Repeats what fails. */
export async function audit(store: SessionStore, round: Round, process: number, recorder: Recorder): Promise<void> {
  const keys = keysOf(`${process}.audit.${round.number}`);
  const deadline = monotonicNow() + 60_000;
  const read = async (call: Call): Promise<void> => {
    for (;;) {
      const answer = await perform(store, call, keys(), recorder, true);
      if (answer.status !== "failed") return;
      if (monotonicNow() > deadline) throw new Error(`The backend did not recover within 60 s: ${answer.code}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  for (const userId of usersOf(round.number)) await read({ verb: "listByUser", userId });
  const ids = idsOf(round);
  for (let at = 0; at < ids.length; at += 50) {
    await Promise.all(ids.slice(at, at + 50).map((id) => read({ verb: "get", id })));
  }
  for (const userId of usersOf(round.number)) await read({ verb: "listByUser", userId });
}

/** Keeps a history in memory. */
export class MemoryRecorder implements Recorder {
  readonly #operations = new Map<string, Operation>();

  invoke(key: string, call: Call, invoked: number, invokedAt: number, isAudit: boolean): void {
    this.#operations.set(key, {
      key,
      call,
      invoked,
      invokedAt,
      answered: Number.POSITIVE_INFINITY,
      answer: undefined,
      isAudit,
    });
  }

  answer(key: string, answered: number, answer: Answer): void {
    const operation = this.#operations.get(key);
    if (operation !== undefined) this.#operations.set(key, { ...operation, answered, answer });
  }

  operations(): Operation[] {
    return [...this.#operations.values()];
  }
}

function keysOf(prefix: string): () => string {
  let number = 0;
  return () => {
    number += 1;
    return `${prefix}#${number}`;
  };
}

async function perform(
  store: SessionStore,
  call: Call,
  key: string,
  recorder: Recorder,
  isAudit: boolean,
): Promise<Answer> {
  recorder.invoke(key, call, monotonicNow(), Date.now(), isAudit);
  let answer: Answer;
  try {
    answer = await ask(store, call);
  } catch (error) {
    answer = failure(error);
  }
  recorder.answer(key, monotonicNow(), answer);
  return answer;
}

async function ask(store: SessionStore, call: Call): Promise<Answer> {
  switch (call.verb) {
    case "create": {
      const { id, userId, tag, idleMs, absoluteMs, limit } = call;
      return flat(await store.create({ id, userId, payload: tag, idleMs, absoluteMs }, { limit }));
    }
    case "get": {
      const record = await store.get(call.id);
      return record === undefined
        ? { status: "missing", sights: [], ended: [] }
        : { status: "found", sights: [sightOf(record)], ended: [] };
    }
    case "update": {
      const { id, expectedVersion, limit } = call;
      return flat(await store.update(id, changeOf(call), { expectedVersion, limit }));
    }
    case "touch": {
      const { idleMs, shorten } = call;
      const isTouched = await store.touch(call.id, { idleMs, shorten });
      return { status: isTouched ? "touched" : "missing", sights: [], ended: [] };
    }
    case "rename": {
      const { id, newId, expectedVersion, limit } = call;
      return flat(await store.rename(id, newId, changeOf(call), { expectedVersion, limit }));
    }
    case "destroy": {
      const ended = await store.destroy(call.id);
      return { status: ended === undefined ? "missing" : "ended", sights: [], ended: ended ? [ended.id] : [] };
    }
    case "listByUser": {
      const records = await store.listByUser(call.userId);
      return { status: "listed", sights: records.map(sightOf), ended: [] };
    }
    case "destroyByUser": {
      const { userId, except } = call;
      return { status: "ended", sights: [], ended: await store.destroyByUser(userId, { except }) };
    }
  }
}

function changeOf(call: Call & { readonly verb: "update" | "rename" }): SessionChange {
  const { tag, userId } = call;
  return {
    ...(tag === undefined ? {} : { payload: tag }),
    ...(userId === undefined ? {} : { userId }),
    ...("idleMs" in call && call.idleMs !== undefined ? { idleMs: call.idleMs } : {}),
  };
}

/** The results of create, update and rename differ in the fields that they have. */
function flat(result: Awaited<ReturnType<SessionStore["create" | "update" | "rename"]>>): Answer {
  switch (result.status) {
    case "created":
    case "updated":
    case "renamed":
      return { status: result.status, sights: [sightOf(result.record)], ended: result.evicted };
    case "conflict":
      return { status: "conflict", sights: [sightOf(result.current)], ended: [] };
    default:
      return { status: result.status, sights: [], ended: [] };
  }
}

function failure(error: unknown): Answer {
  if (!isSessionError(error)) {
    return { status: "failed", sights: [], ended: [], code: `not a SessionError: ${error}`, outcomeUnknown: true };
  }
  return { status: "failed", sights: [], ended: [], code: error.code, outcomeUnknown: error.outcomeUnknown };
}
