import { randomUUID } from "node:crypto";
import { type SessionData, SessionManager, tokenToId } from "@sojourn/core";
import { afterAll, expect, test } from "vitest";
import { backends, newNamespace, startBackend, stopBackends } from "./backends.js";

afterAll(stopBackends);

/** Data of a user that a backend still holds after an erasure: docs/user-data.md says for how long. */
const leftBehind: Readonly<Record<string, readonly string[]>> = {
  "Redis Cluster": ["session id"],
  "MySQL or MariaDB": ["user id"],
};

test.each(backends)(
  "on %s an erased user leaves no data, no index, and no more ids than are documented",
  async (name) => {
    const backend = await startBackend(name);
    const namespace = newNamespace();
    const store = await backend.open(namespace);
    const dump = (): Promise<string> => backend.dump(namespace);
    const sessionLimit = { max: 3, whenReached: "evictOldest" } as const;
    const manager = new SessionManager<SessionData>({ store, sweep: false, sessionLimit, timeoutMs: 10_000 });
    const userId = `user ${randomUUID()}`;
    const data = { secret: randomUUID() };
    const metadata = { ip: randomUUID() };
    const tokens: string[] = [];
    for (let n = 0; n < 5; n++) {
      const { token } = await manager.create({ userId, data, metadata });
      const fresh = await manager.regenerate(token, { update: (current) => ({ ...current, n }) });
      await manager.touch(fresh?.token ?? "");
      tokens.push(token, fresh?.token ?? "");
    }
    const secrets = {
      token: tokens,
      data: [data.secret],
      metadata: [metadata.ip],
      "user id": [userId],
      "session id": tokens.map(tokenToId),
    };
    const before = await dump();
    // The dump shows what is there: otherwise nothing would be proven below.
    for (const marker of [data.secret, metadata.ip, userId]) expect(before.includes(marker)).toBe(true);
    for (const token of tokens) expect(before).not.toContain(token);
    expect(before).toContain(tokenToId(tokens.at(-1) ?? ""));

    expect(await manager.destroyByUser(userId)).toHaveLength(3);
    expect(await manager.exportUser(userId)).toEqual({ userId, sessions: [], unreadable: [] });
    const after = await dump();
    const left = Object.entries(secrets).filter(([, markers]) => markers.some((marker) => after.includes(marker)));
    expect(left.map(([name]) => name)).toEqual(leftBehind[name] ?? []);
  },
);
