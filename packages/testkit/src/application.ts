import type { Clock, SessionEvents } from "@sojourn/core";
import {
  type Duration,
  durationMs,
  SessionCookie,
  type SessionCookieOptions,
  type SessionToSend,
} from "@sojourn/core/bridge";

/* For tests of applications. The rest of the kit is for tests of stores. */

/** A clock that a test moves: `new MemoryStore({ clock })`. It stands still otherwise. */
export class TestClock implements Clock {
  #ms: number;

  /** @param startMs - epoch milliseconds. Default: now */
  constructor(startMs: number = Date.now()) {
    this.#ms = startMs;
  }

  now(): number {
    return this.#ms;
  }

  /** Lets time pass: `clock.advance("30m")`. @throws SessionError `INVALID_OPTION` for a value that is no duration */
  advance(duration: Duration): void {
    this.#ms += durationMs(duration, "duration", 0);
  }
}

/**
 * Returns the value of the `cookie` request header for a session that a test has created, signed as the application signs it:
 * `sessionCookieFor(await manager.create({ userId: "42", data: {} }), { secret })`.
 *
 * @param options - `secret`, and name and attributes of the cookie, as the application has them
 * @throws SessionError `INVALID_OPTION`
 */
export function sessionCookieFor(session: SessionToSend, options: SessionCookieOptions): string {
  const { name, value } = new SessionCookie(options).issue(session);
  return `${name}=${value}`;
}

/**
 * Waits for the next event of a manager. Call it before the act that causes the event.
 *
 * @param timeoutMs - rejects after this time without one. Default 5,000
 */
export function eventOf<Name extends keyof SessionEvents>(
  manager: { on(name: Name, listener: (event: SessionEvents[Name]) => unknown): () => void },
  name: Name,
  timeoutMs = 5_000,
): Promise<SessionEvents[Name]> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      unsubscribe();
    };
    const timer = setTimeout(() => {
      end();
      reject(new Error(`@sojourn/testkit: no event "${name}" within ${timeoutMs} ms`));
    }, timeoutMs);
    const unsubscribe = manager.on(name, (event) => {
      end();
      resolve(event);
    });
  });
}
