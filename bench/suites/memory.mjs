import { createRequire } from "node:module";
import { MemoryStore } from "@sojourn/memory";
import session from "express-session";
import { driverSubject, managerSubject, peerSubject, storeSubject } from "../lib/subjects.mjs";

const memorystore = createRequire(import.meta.url)("memorystore");

export const suite = {
  path: import.meta.url,
  title: "Memory",
  packages: ["memorystore", "express-session"],
  setting: "in the process; peers that answer in a later turn of the event loop are measured as they are",
  subjects: {
    "a Map of texts": { level: "driver", open: openMap },
    "express-session MemoryStore": { level: "peer", open: (place) => peerSubject(new session.MemoryStore(), place) },
    memorystore: { level: "peer", open: (place) => peerSubject(new (memorystore(session))({}), place) },
    "Sojourn store": { level: "store", open: (place) => storeSubject(new MemoryStore(), place) },
    "Sojourn manager": { level: "manager", open: (place) => managerSubject(new MemoryStore(), place) },
  },
};

async function openMap(place) {
  const texts = new Map();
  return driverSubject(
    {
      write: async (id, text) => void texts.set(id, text),
      read: async (id) => texts.get(id),
      remove: async (id) => void texts.delete(id),
    },
    place,
  );
}
