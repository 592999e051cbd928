import { setTimeout as delay } from "node:timers/promises";
import { SessionError, type SessionStore } from "@sojourn/core";
import { decorate } from "@sojourn/core/adapter";

/**
 * A network between a client and a store in the same process: requests and answers take their time, and now and then
 * one of them is lost. The caller then hears of a timeout, with an unknown outcome if it was a write.
 */
export function overNetwork(store: SessionStore, random: () => number, lossRate: number): SessionStore {
  const send = async <T>(run: () => Promise<T>, outcomeUnknown = true): Promise<T> => {
    const isLost = random() < lossRate;
    const isRequestLost = random() < 0.5;
    await delay(random() * 3);
    const timeout = new SessionError("TIMEOUT", "The network lost a message", { outcomeUnknown });
    if (isLost && isRequestLost) throw timeout;
    const answer = await run();
    await delay(random() * 3);
    if (isLost) throw timeout;
    return answer;
  };
  return decorate(store, {
    create: (...args) => send(() => store.create(...args)),
    get: (...args) => send(() => store.get(...args), false),
    update: (...args) => send(() => store.update(...args)),
    touch: (...args) => send(() => store.touch(...args)),
    rename: (...args) => send(() => store.rename(...args)),
    destroy: (...args) => send(() => store.destroy(...args)),
    listByUser: (...args) => send(() => store.listByUser(...args), false),
    destroyByUser: (...args) => send(() => store.destroyByUser(...args)),
  });
}
