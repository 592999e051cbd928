import {
  type HeadHooks,
  type HttpSessions,
  holdHead,
  LazySession,
  RequestSession as RequestSessionOf,
} from "@sojourn/core/bridge";
import type { Request, Response } from "express";
import { canBeHeld } from "./framework.js";

/** The session of an Express request: {@link RequestSessionOf}. */
export type RequestSession<Data extends object> = RequestSessionOf<Data, Request, Response>;
export const RequestSession: typeof RequestSessionOf = RequestSessionOf;

export type Next = (error?: unknown) => void;

/** Puts an object in the place of `req.session`. */
export type Show = (session: object | undefined) => void;

/** The middleware that makes the slots of its requests. */
export interface SlotOrigin {
  readonly middleware: object;
  readonly sessions: HttpSessions<Request, Response>;
}

/** The session of one request, and its response, which waits for the save. */
export class RequestSlot extends LazySession<Request, Response> implements HeadHooks {
  readonly middleware: object;
  readonly #response: Response;
  readonly #next: Next;

  constructor({ middleware, sessions }: SlotOrigin, request: Request, response: Response, next: Next) {
    super(sessions, request);
    this.middleware = middleware;
    this.#response = response;
    this.#next = next;
  }

  /** Loads the session, and shows it. @returns `undefined` when there is nothing to wait for */
  begin(show: Show): Promise<void> | undefined {
    const session = this.openNow();
    if (session instanceof Promise) return session.then(show);
    show(session);
    return undefined;
  }

  /** Holds the response from here on. A request that never uses its session is to cost nothing. */
  override openNow(): RequestSession<object> | Promise<RequestSession<object>> {
    if (this.isOpened) return super.openNow();
    const session = super.openNow();
    if (canBeHeld(this.#response)) holdHead(this.#response, this);
    else void Promise.resolve(session).then(() => this.finish(this.#response), ignore);
    return session;
  }

  beforeHead(): Promise<void> | undefined {
    return this.finish(this.#response);
  }

  beforeEnd(): Promise<void> | undefined {
    return this.finish(this.#response);
  }

  /** Express calls the error handlers after the route. They answer unless the response has been sent. */
  failed(error: unknown): void {
    this.#next(error);
  }
}

function ignore(): void {}
