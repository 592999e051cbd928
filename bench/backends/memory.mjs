import { MemoryStore } from "@sojourn/memory";
import session from "express-session";
import memorystore from "memorystore";

export const backend = {
  title: "Memory",
  packages: ["memorystore", "express-session"],
  setting: "in the process of the caller",
  drivers: { "a call that does nothing": openNothing, "a Map of texts": openMap },
  peers: {
    "express-session MemoryStore": async () => ({ store: new session.MemoryStore() }),
    memorystore: async () => ({ store: new (memorystore(session))({}) }),
  },
  open: async () => ({ store: new MemoryStore() }),
};

/** The cost of the calling loop alone: the limit of the other subjects. */
async function openNothing() {
  const nothing = async () => {};
  return { write: nothing, read: nothing, touch: nothing, remove: nothing };
}

async function openMap() {
  const texts = new Map();
  return {
    write: async (id, text) => void texts.set(id, text),
    read: async (id) => texts.get(id),
    remove: async (id) => void texts.delete(id),
  };
}
