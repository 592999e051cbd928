import type { FrameworkObjects, LoadedSession } from "@sojourn/core/bridge";
import type { Store } from "express-session";

/** The request that a session is made for, as Express types it. */
export type Request = Parameters<Store["createSession"]>[0];

/** Recognises the sessions of express-session by identity: it saves the same object that it made. */
export class ExpressObjects extends WeakMap<object, LoadedSession> implements FrameworkObjects<Request> {
  /** express-session keeps the request in a hidden property of each session that it makes. */
  requestOfNew(object: object): Request | undefined {
    const property = Object.getOwnPropertyDescriptor(object, "req");
    return property?.enumerable === false ? property.value : undefined;
  }

  /** express-session saves only objects that it made. Any other object comes from a `store.set` of the application. */
  isApplicationsOwn(object: object): boolean {
    return this.requestOfNew(object) === undefined;
  }
}
