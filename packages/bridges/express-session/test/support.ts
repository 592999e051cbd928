import { once } from "node:events";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { MemoryStore } from "@sojourn/memory";
import { recording } from "@sojourn/test-fixtures";
import express5 from "express";
import session, { type SessionOptions, type Store } from "express-session";
import { ExpressSessionStore, type ExpressSessionStoreOptions } from "../src/index.js";

declare module "express-session" {
  interface SessionData {
    a?: unknown;
    b?: unknown;
    list?: number[];
    cart?: string;
    late?: boolean;
    first?: number;
    second?: number;
    account?: string;
  }
}

type Express = typeof express5;

// Express 4 is installed under another name, for which there are no types; what is used of it is as in Express 5.
const express4 = createRequire(import.meta.url)("express4") as Express;

export const expressVersions: [string, Express][] = [
  ["Express 4", express4],
  ["Express 5", express5],
];

/** What a request does with its session. What it returns is the response, as JSON. */
export type Action = (req: express5.Request) => unknown;

export interface App extends AsyncDisposable {
  readonly url: string;
  /** Errors that reached Express, late ones included. */
  readonly errors: unknown[];
}

/** Serves each action under its name, on a port of its own. */
export async function serve(
  express: Express,
  store: Store,
  actions: Record<string, Action>,
  options: Partial<SessionOptions> = {},
): Promise<App> {
  const app = express();
  const errors: unknown[] = [];
  app.use(session({ secret: "test", resave: false, saveUninitialized: false, store, ...options }));
  for (const [name, action] of Object.entries(actions)) {
    app.get(`/${name}`, (req, res, next) => {
      Promise.resolve(action(req)).then((body) => res.json(body ?? null), next);
    });
  }
  const report: express5.ErrorRequestHandler = (error: Error, _req, res, _next) => {
    errors.push(error);
    if (!res.headersSent) res.status(500).json({ error: error.message });
  };
  app.use(report);
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    errors,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** A bridge over a memory store whose clock the test moves, with a list of the store calls made. */
export function setUp(options: Partial<ExpressSessionStoreOptions> = {}): {
  store: ExpressSessionStore;
  clock: { offsetMs: number };
  calls: string[];
  conflicts: string[];
} {
  const clock = { offsetMs: 0 };
  const calls: string[] = [];
  const memory = new MemoryStore({ clock: { now: () => Date.now() + clock.offsetMs } });
  // Options with a manager are not made by this function.
  const all = { store: recording(memory, calls), sweep: false, ...options } as ExpressSessionStoreOptions;
  const store = new ExpressSessionStore(all);
  const conflicts: string[] = [];
  store.manager.on("conflict", ({ reason }) => conflicts.push(reason));
  return { store, clock, calls, conflicts };
}

export const minute = 60_000;
export const hour: number = 60 * minute;
export const day: number = 24 * hour;
