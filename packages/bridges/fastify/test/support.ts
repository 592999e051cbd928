import { SessionManager, type SessionManagerOptions } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { overriding } from "@sojourn/test-fixtures";
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
} from "fastify";
import { onTestFinished } from "vitest";
import { type FastifySessionsOptions, fastifySessions, type RequestSession } from "../src/index.js";

export const secret = "a secret of more than thirty-two bytes";

export interface Data {
  cart: string[];
  views: number;
  name: string;
  flash: Record<string, string[]>;
}

/** What a route does with the session of its request. What it returns is the response. */
export type Action = (session: RequestSession<Data>, request: FastifyRequest, reply: FastifyReply) => unknown;

export interface Fixture {
  readonly app: FastifyInstance;
  readonly url: string;
  readonly manager: SessionManager<Data>;
  /** The store's methods, in the order of the calls. */
  readonly calls: string[];
  /** What the store answers while it is set, instead of working. */
  readonly fault: { error: Error | undefined };
  readonly conflicts: string[];
}

interface SetUp {
  readonly manager?: Partial<SessionManagerOptions>;
  readonly plugin?: Partial<FastifySessionsOptions>;
  readonly server?: FastifyServerOptions;
  readonly routes?: (app: FastifyInstance, manager: SessionManager<Data>) => unknown;
}

/** Serves each action under its name, with the plugin over a memory store. */
export async function serve(actions: Record<string, Action>, setUp: SetUp = {}): Promise<Fixture> {
  const calls: string[] = [];
  const fault: Fixture["fault"] = { error: undefined };
  const store = overriding(new MemoryStore(), (method, original) => (...args) => {
    calls.push(method);
    if (fault.error !== undefined) return Promise.reject(fault.error);
    return original(...args);
  });
  const manager = new SessionManager<Data>({ store, sweep: false, ...setUp.manager } as SessionManagerOptions<Data>);
  const conflicts: string[] = [];
  manager.on("conflict", ({ reason }) => conflicts.push(reason));
  calls.length = 0;
  const app = Fastify(setUp.server);
  // Options that the test replaces are of another kind.
  await app.register(fastifySessions, { manager, secret, ...setUp.plugin } as FastifySessionsOptions);
  for (const [name, action] of Object.entries(actions)) {
    app.all(`/${name}`, async (request, reply) => action(await request.getDecorator("session"), request, reply));
  }
  await setUp.routes?.(app, manager);
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  onTestFinished(async () => {
    fault.error = undefined;
    await app.close();
    await manager.close();
  });
  return { app, url, manager, calls, fault, conflicts };
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly setCookie: readonly string[];
  readonly headers: Headers;
}

/** A browser that keeps several cookies, and hands on all of a response: what tests of cookies need beyond the fixtures'. */
export class Browser {
  readonly #url: string;
  readonly #cookies: Map<string, string>;

  constructor({ url }: { readonly url: string }, cookies: ReadonlyMap<string, string> = new Map()) {
    this.#url = url;
    this.#cookies = new Map(cookies);
  }

  get cookie(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  /** Another window of the same browser as it is at this moment, or the same browser before another node. */
  clone(app: Pick<Fixture, "url"> = { url: this.#url }): Browser {
    return new Browser(app, this.#cookies);
  }

  async get(path: string, init: RequestInit = {}): Promise<Answer> {
    const headers = new Headers(init.headers);
    if (this.#cookies.size > 0) headers.set("cookie", this.cookie);
    const response = await fetch(`${this.#url}/${path}`, { redirect: "manual", ...init, headers });
    const setCookie = response.headers.getSetCookie();
    for (const line of setCookie) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/Max-Age=0/i.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json") ?? false;
    const body: unknown = isJson ? JSON.parse(text) : text;
    return { status: response.status, body, setCookie, headers: response.headers };
  }

  async body(path: string): Promise<unknown> {
    return (await this.get(path)).body;
  }
}
