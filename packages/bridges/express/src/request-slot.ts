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

/** The session of one request, and its response, which waits for the save. */
export class RequestSlot extends LazySession<Request, Response> implements HeadHooks {
  /** The middleware that made it. */
  readonly owner: object;
  readonly #response: Response;
  readonly #next: Next;

  constructor(
    owner: object,
    sessions: HttpSessions<Request, Response>,
    request: Request,
    response: Response,
    next: Next,
  ) {
    super(sessions, request);
    this.owner = owner;
    this.#response = response;
    this.#next = next;
  }

  /** The storage id of the loaded session. Log lines read `id` and `userId` from the slot, which loads nothing. */
  get id(): string | undefined {
    return this.loaded?.id;
  }
  get userId(): string | undefined {
    return this.loaded?.userId;
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
