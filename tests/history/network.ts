import { setTimeout as delay } from "node:timers/promises";
import { SessionError, type SessionStore } from "@sojourn/core";

/** What a call does to a store, as it travels. */
export type Send = <T>(verb: string, run: () => Promise<T>) => Promise<T>;

/** A store behind another one's calls: each method goes through `send`. */
export function through(store: SessionStore, send: Send): SessionStore {
  return {
    capabilities: store.capabilities,
    create: (...args) => send("create", () => store.create(...args)),
    get: (...args) => send("get", () => store.get(...args)),
    update: (...args) => send("update", () => store.update(...args)),
    touch: (...args) => send("touch", () => store.touch(...args)),
    rename: (...args) => send("rename", () => store.rename(...args)),
    destroy: (...args) => send("destroy", () => store.destroy(...args)),
    listByUser: (...args) => send("listByUser", () => store.listByUser(...args)),
    destroyByUser: (...args) => send("destroyByUser", () => store.destroyByUser(...args)),
    sweep: (...args) => store.sweep(...args),
    scan: (...args) => store.scan(...args),
    count: () => store.count(),
    clear: () => store.clear(),
    close: () => store.close(),
  };
}

const reads: ReadonlySet<string> = new Set(["get", "listByUser"]);

/**
 * A network between a client and a store in the same process: requests and answers take their time, and now and then
 * one of them is lost. The caller then hears of a timeout, with an unknown outcome if it was a write.
 */
export function overNetwork(store: SessionStore, random: () => number, lossRate: number): SessionStore {
  return through(store, async (verb, run) => {
    const lost = random() < lossRate;
    const isRequestLost = random() < 0.5;
    await delay(random() * 3);
    if (lost && isRequestLost) throw timeout(verb);
    const answer = await run();
    await delay(random() * 3);
    if (lost) throw timeout(verb);
    return answer;
  });
}

export function timeout(verb: string): SessionError {
  return new SessionError("TIMEOUT", `${verb} was not answered`, { outcomeUnknown: !reads.has(verb) });
}
