import { setTimeout as delay } from "node:timers/promises";
import { type SessionData, SessionManager } from "@sojourn/core";
import { afterAll, expect, test } from "vitest";
import { backends, newNamespace, startBackend, stopBackends } from "./backends.js";

afterAll(stopBackends);

test.each(backends)(
  "on %s a regeneration logs no user out, a logout always works, and the grace ends",
  async (name) => {
    const store = await (await startBackend(name)).open(newNamespace());
    const options = { store, sweep: false, timeoutMs: 10_000, touchAfter: 0 } as const;
    // Several processes, for all that the store can tell.
    const nodes = [1, 2, 3].map(() => new SessionManager({ ...options, regenerationGrace: "5m" }));
    const [first, second, third] = nodes as [SessionManager, SessionManager, SessionManager];
    try {
      for (let round = 0; round < 10; round++) {
        const { token: old } = await first.create({ userId: `user ${round}`, data: { round } });
        const racing = [first, second].map((node) => node.regenerate(old));
        const reads = Array.from({ length: 12 }, async (_, n) => {
          await delay(n);
          return third.get(old);
        });
        const winners = (await Promise.all(racing)).filter((result) => result !== undefined);
        expect(winners).toHaveLength(1);
        for (const session of await Promise.all(reads)) expect(session?.data).toEqual({ round });

        const [logout, late] = await Promise.all([second.destroy(old), first.regenerate(winners[0]?.token ?? "")]);
        // Whichever came first, nothing lives on.
        expect(logout).toBe(true);
        for (const token of [old, winners[0]?.token, late?.token]) {
          if (token !== undefined) expect(await third.get(token)).toBeUndefined();
        }
        expect(await third.listByUser(`user ${round}`)).toEqual([]);
      }
      const hasty = new SessionManager<SessionData>({ ...options, regenerationGrace: "1s" });
      const { token } = await hasty.create({ userId: "42", data: {} });
      await hasty.regenerate(token);
      await delay(1_000 + 2 * store.capabilities.expiryPrecisionMs);
      expect(await hasty.get(token)).toBeUndefined();
      expect(await hasty.listByUser("42")).toHaveLength(1);
    } finally {
      await first.close();
    }
  },
);
