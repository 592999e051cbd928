import type { SessionStore } from "@sojourn/core";
import type { StoreCapabilities } from "@sojourn/core/adapter";
import { hour, session } from "../case.js";

type Call = (store: SessionStore) => Promise<unknown>;

/** One call of every method that talks to the backend, on session "a" of user "u". */
const calls: Readonly<Record<string, Call>> = {
  create: (store) => store.create(session("b", { userId: "u" })),
  get: (store) => store.get("a"),
  update: (store) => store.update("a", { payload: "p" }),
  touch: (store) => store.touch("a", { idleMs: 2 * hour }),
  rename: (store) => store.rename("a", "c", { payload: "q" }),
  destroy: (store) => store.destroy("a"),
  listByUser: (store) => store.listByUser("u"),
  destroyByUser: (store) => store.destroyByUser("u"),
  scan: async (store) => {
    for await (const _ of store.scan());
  },
  count: (store) => store.count(),
  clear: (store) => store.clear(),
};

/** Returns the calls that this store supports. `sweep` only where it sends a request. */
export function everyMethod({ scan, count, expiry }: StoreCapabilities): [name: string, call: Call][] {
  const all = Object.entries(calls).filter(([name]) => (name !== "scan" || scan) && (name !== "count" || count));
  return expiry === "sweep" ? [...all, ["sweep", (store) => store.sweep({ limit: 10 })]] : all;
}
