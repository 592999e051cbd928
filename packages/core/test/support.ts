import { ModelBackend, ModelStore } from "@sojourn/testkit";
import { SessionManager, type SessionManagerOptions, type SessionStore } from "../src/index.js";

/** A manager over the kit's model store, with a clock that the test moves and a list of the store calls made. */
export interface Fixture {
  readonly manager: SessionManager;
  readonly store: SessionStore;
  readonly clock: { now: number };
  /** The store's methods, in the order of the calls. */
  readonly calls: string[];
}

export function setUp(options: Partial<SessionManagerOptions> = {}): Fixture {
  const clock = { now: Date.UTC(2030, 0, 1) };
  const calls: string[] = [];
  const store = recording(new ModelStore(new ModelBackend(() => clock.now)), calls);
  const manager = new SessionManager({ store, sweep: false, clock: { now: () => clock.now }, ...options });
  return { manager, store, clock, calls };
}

/** Notes each method called on a store. */
export function recording(store: SessionStore, calls: string[]): SessionStore {
  return overriding(store, (method, original) => (...args) => {
    calls.push(method);
    return original(...args);
  });
}

type Method = (...args: unknown[]) => unknown;

/** A store whose methods are wrapped, to fail or to wait where a test wants it. */
export function overriding(store: SessionStore, wrap: (method: string, original: Method) => Method): SessionStore {
  return new Proxy(store, {
    get(target, name) {
      // Without it each read is a call of `get`, for the test to see.
      if (name === "peek") return undefined;
      // A proxy's handler knows no more of a member than that it was asked for.
      const member = Reflect.get(target, name) as unknown;
      return typeof member === "function" ? wrap(String(name), member.bind(target) as Method) : member;
    },
  });
}

/** A promise and the handle to settle it. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

export const minute = 60_000;
export const hour: number = 60 * minute;
