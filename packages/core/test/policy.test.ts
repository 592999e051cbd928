import { MemoryStore } from "@sojourn/memory";
import { expect, test } from "vitest";
import { type Duration, SessionManager } from "../src/index.js";
import { hour, minute } from "./support.js";

// NIST SP 800-63B, revision 3, sections 4.1.3, 4.2.3 and 4.3.3.
test.each<[string, Duration, Duration, number, number]>([
  ["level 1: 30 days", "30d", "30d", 30 * 24 * hour, 30 * 24 * hour],
  ["level 2: 12 hours, and 30 minutes idle", "30m", "12h", 30 * minute, 12 * hour],
  ["level 3: 12 hours, and 15 minutes idle", "15m", "12h", 15 * minute, 12 * hour],
])(
  "authenticator assurance %s, for a manager and for one session",
  async (_level, idleTimeout, absoluteTimeout, idleMs, absoluteMs) => {
    const clock = { ms: Date.UTC(2030, 0, 1), now: () => clock.ms };
    const open = (options: object): SessionManager =>
      new SessionManager({ store: new MemoryStore({ clock }), sweep: false, touchAfter: 0, ...options });
    const timeouts = { idleTimeout, absoluteTimeout };
    for (const [manager, own] of [
      [open(timeouts), {}],
      [open({ idleTimeout: "1m", absoluteTimeout: "2m" }), timeouts],
    ] as const) {
      const begin = clock.ms;
      const { token } = await manager.create({ data: {}, ...own });
      // Used just before each idle deadline, it lives until the absolute one.
      while (clock.ms + idleMs - 1 < begin + absoluteMs) {
        clock.ms += idleMs - 1;
        expect(await manager.get(token)).toBeDefined();
      }
      clock.ms = begin + absoluteMs - 1;
      expect(await manager.get(token, { touch: false })).toBeDefined();
      clock.ms = begin + absoluteMs;
      expect(await manager.get(token)).toBeUndefined();
      const idle = await manager.create({ data: {}, ...own });
      clock.ms += idleMs;
      expect(await manager.get(idle.token)).toBeUndefined();
    }
  },
);
