import { once } from "node:events";
import type { Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { SessionManager, type SessionManagerOptions } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { overriding } from "@sojourn/test-fixtures";
import express5, { type ErrorRequestHandler, type Express, type Request, type Response } from "express";
import { expect, onTestFinished } from "vitest";
import { type ExpressSessionsOptions, expressSessions, type RequestSession, sessionOf } from "../src/index.js";

export const secret = "a secret of more than thirty-two bytes";

type MakeExpress = typeof express5;

const express4: MakeExpress = createRequire(import.meta.url)("express4");

/** The supported versions of Express. */
export const versions: readonly (readonly [string, MakeExpress])[] = [
  ["Express 4", express4],
  ["Express 5", express5],
];

export interface Data {
  cart: string[];
  views: number;
  name: string;
}

/** What a route does with the session of its request. */
export type Action = (session: RequestSession<Data>, request: Request, response: Response) => unknown;

export interface Fixture {
  readonly url: string;
  readonly server: Server;
  readonly manager: SessionManager<Data>;
  /** Returns the number of stored sessions. */
  readonly count: () => Promise<number>;
  /** The store's methods, in the order of the calls. */
  readonly calls: string[];
  /** The error that the store rejects with, in place of working, and a promise that it waits for. */
  readonly fault: { error?: Error | undefined; wait?: Promise<unknown> | undefined };
  /** Errors that have reached the application's error handler. */
  readonly errors: unknown[];
}

interface SetUp {
  readonly express?: MakeExpress;
  readonly manager?: Partial<SessionManagerOptions>;
  readonly sessions?: Partial<ExpressSessionsOptions>;
  /** Called before the middleware, and after it. */
  readonly before?: (app: Express) => unknown;
  readonly after?: (app: Express, manager: SessionManager<Data>) => unknown;
  /** Default: answers JSON with the error's message. Undefined: Express's own. */
  readonly onError?: ErrorRequestHandler | undefined;
}

const answerError: ErrorRequestHandler = (error, _request, response, next) => {
  if (response.headersSent) next(error);
  else response.status(error.statusCode ?? 500).json({ error: error.message });
};

/** Serves each action under its name, with the middleware over a memory store. `read` answers the data. */
export async function serve(actions: Record<string, Action>, setUp: SetUp = {}): Promise<Fixture> {
  const calls: string[] = [];
  const fault: Fixture["fault"] = {};
  const errors: unknown[] = [];
  const memory = new MemoryStore();
  const store = overriding(memory, (method, original) => (...args) => {
    calls.push(method);
    const { error, wait } = fault;
    if (error !== undefined) return Promise.reject(error);
    return wait === undefined ? original(...args) : wait.then(() => original(...args));
  });
  const manager = new SessionManager<Data>({ store, sweep: false, ...setUp.manager } as SessionManagerOptions<Data>);
  calls.length = 0;
  const app = (setUp.express ?? express5)();
  // Keeps Express from printing the errors that tests provoke.
  app.set("env", "test");
  setUp.before?.(app);
  app.use(expressSessions({ manager, secret, ...setUp.sessions } as ExpressSessionsOptions));
  setUp.after?.(app, manager);
  const read: Action = ({ data }, _request, response) => response.json(data);
  for (const [name, action] of Object.entries({ read, ...actions })) {
    app.all(`/${name}`, (request, response, next) => {
      sessionOf(request, manager)
        .then((session) => action(session, request, response))
        .catch(next);
    });
  }
  const note: ErrorRequestHandler = (error, _request, _response, next) => {
    errors.push(error);
    next(error);
  };
  app.use(note);
  if (!("onError" in setUp)) app.use(answerError);
  else if (setUp.onError !== undefined) app.use(setUp.onError);
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    fault.error = undefined;
    fault.wait = undefined;
    server.closeAllConnections();
    server.close();
    await manager.close();
  });
  const count = async (): Promise<number> => (await memory.count()).sessions;
  return {
    count,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    manager,
    calls,
    fault,
    errors,
  };
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly setCookie: readonly string[];
  readonly headers: Headers;
}

/** A browser with its cookies, which returns all of a response. */
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

  /** Another window of the same browser as it is at this moment. */
  clone(): Browser {
    return new Browser({ url: this.#url }, this.#cookies);
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
    const body: unknown = isJson && text !== "" ? JSON.parse(text) : text;
    return { status: response.status, body, setCookie, headers: response.headers };
  }

  async body(path: string): Promise<unknown> {
    return (await this.get(path)).body;
  }
}

/** Fails the test if an error reaches the process. */
export function expectNoCrash(): void {
  const crashes: unknown[] = [];
  const note = (error: unknown): void => void crashes.push(error);
  process.on("unhandledRejection", note).on("uncaughtException", note);
  onTestFinished(() => {
    process.off("unhandledRejection", note).off("uncaughtException", note);
    expect(crashes).toEqual([]);
  });
}
