import type { FrameworkObjects, LoadedSession } from "@sojourn/core/bridge";
import type { Store } from "express-session";

/** The request that a session is made for, as Express types it. */
export type Request = Parameters<Store["createSession"]>[0];

/** express-session hands back the very object that it made, so that what was loaded is remembered beside it. */
export class ExpressObjects extends WeakMap<object, LoadedSession> implements FrameworkObjects<Request> {
  /** express-session hides the request in the sessions that it makes; an application's own object has none. */
  requestOf(object: object): Request | undefined {
    const property = Object.getOwnPropertyDescriptor(object, "req");
    return property?.enumerable === false ? property.value : undefined;
  }
}
