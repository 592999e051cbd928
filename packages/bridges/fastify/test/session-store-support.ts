import fastifyCookie from "@fastify/cookie";
import fastifySession, { type FastifySessionOptions } from "@fastify/session";
import { MemoryStore } from "@sojourn/memory";
import { recording } from "@sojourn/test-fixtures";
import fastify, { type FastifyRequest } from "fastify";
import { FastifySessionStore, type FastifySessionStoreOptions } from "../src/index.js";

declare module "fastify" {
  interface Session {
    a?: unknown;
    b?: unknown;
    late?: number;
    account?: string | undefined;
  }
}

/** What a request does with its session. What it returns is the response, as JSON. */
export type Action = (request: FastifyRequest) => unknown;

export interface App extends AsyncDisposable {
  readonly url: string;
  /** Errors that reached Fastify. */
  readonly errors: unknown[];
}

/** Serves each action under its name, behind @fastify/session, on a port of its own. */
export async function serve(
  store: FastifySessionOptions["store"],
  actions: Record<string, Action>,
  options: Partial<FastifySessionOptions> & { readonly plugin?: typeof fastifySession } = {},
): Promise<App> {
  const { plugin = fastifySession, cookie, ...rest } = options;
  const app = fastify();
  const errors: unknown[] = [];
  await app.register(fastifyCookie);
  await app.register(plugin, {
    secret: "a secret of at least 32 characters",
    ...(store && { store }),
    cookie: { secure: false, ...cookie },
    ...rest,
  });
  app.addHook("onError", async (_request, _reply, error) => void errors.push(error));
  for (const [name, action] of Object.entries(actions)) {
    app.get(`/${name}`, async (request, reply) => {
      const body = await action(request);
      reply.type("application/json");
      return JSON.stringify(body ?? null);
    });
  }
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  return {
    url,
    errors,
    async [Symbol.asyncDispose]() {
      app.server.closeAllConnections();
      await app.close();
    },
  };
}

/** A bridge over a memory store whose clock the test moves, with a list of the store calls made. */
export function setUp(options: Partial<FastifySessionStoreOptions> = {}): {
  store: FastifySessionStore;
  clock: { offsetMs: number };
  calls: string[];
  conflicts: string[];
} {
  const clock = { offsetMs: 0 };
  const calls: string[] = [];
  const memory = new MemoryStore({ clock: { now: () => Date.now() + clock.offsetMs } });
  // Options with a manager are not made by this function.
  const all = { store: recording(memory, calls), sweep: false, ...options } as FastifySessionStoreOptions;
  const store = new FastifySessionStore(all);
  const conflicts: string[] = [];
  store.manager.on("conflict", ({ reason }) => conflicts.push(reason));
  return { store, clock, calls, conflicts };
}

export const minute = 60_000;
export const hour: number = 60 * minute;
export const day: number = 24 * hour;
