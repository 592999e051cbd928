import { inspect } from "node:util";
import { MemoryStore } from "@sojourn/memory";
import { expect, test } from "vitest";
import { SessionError, SessionManager, type SessionManagerOptions } from "../src/index.js";
import { overriding } from "./support.js";

const names = [
  "created",
  "updated",
  "touched",
  "regenerated",
  "destroyed",
  "expired",
  "conflict",
  "security",
  "error",
] as const;

test("no event, error, list or inspection shows a token or a session's data", async () => {
  const seen: unknown[] = [];
  const secrets = ["the secret in the data", "a token that is malformed and 43 characters"];
  const failures: ("none" | "driver" | "ours")[] = [];
  const store = overriding(new MemoryStore(), (_method, original) => (...args) => {
    const failure = failures.shift() ?? "none";
    if (failure === "driver") return Promise.reject(new Error("ECONNRESET"));
    if (failure === "ours") return Promise.reject(new SessionError("UNAVAILABLE", "the backend is away"));
    return original(...args);
  });
  const options: SessionManagerOptions = {
    store,
    sweep: false,
    touchAfter: 0,
    sessionLimit: { max: 1, whenReached: "evictOldest" },
    maxPayloadBytes: 500,
  };
  const manager = new SessionManager(options);
  for (const name of names) manager.on(name, (event) => seen.push(event));
  const data = { secret: secrets[0] };
  const attempt = async <T>(call: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await call();
    } catch (error) {
      seen.push(error);
      return undefined;
    }
  };
  const create = async (userId: string): Promise<string> => {
    const { token, session } = await manager.create({ userId, data });
    secrets.push(token);
    seen.push(session.id, JSON.stringify(session));
    return token;
  };

  await create("42");
  const token = await create("42");
  await manager.get(token);
  await manager.update(token, (current) => ({ ...current, n: 1 }));
  const fresh = (await manager.regenerate(token))?.token ?? "";
  secrets.push(fresh);
  // One writer is faster than another.
  const [one, other] = [await manager.get(fresh), await manager.get(fresh)];
  await one?.save({ ...data, one: 1 });
  await other?.save({ ...data, other: 1 });
  await attempt(async () => (await manager.get(fresh))?.update(() => ({ ...data, large: "x".repeat(600) })));
  await attempt(async () => (await manager.get(fresh))?.update(() => ({ ...data, n: 1n })));
  const calls: (() => Promise<unknown>)[] = [
    () => manager.get(fresh),
    () => manager.touch(fresh),
    () => manager.destroy(fresh),
    () => manager.regenerate(fresh),
  ];
  for (const failure of ["driver", "ours"] as const) {
    for (const call of calls) {
      failures.push(failure);
      await attempt(call);
    }
  }
  await manager.get(secrets[1] ?? "");
  for (let n = 0; n < 30; n++) await manager.get("u".repeat(43));
  await attempt(() => manager.byId.get(`${fresh}\0`));
  await attempt(() => manager.destroyByUser("42", { except: `${fresh} ` }));
  seen.push(await manager.listByUser("42"), await manager.stats(), manager);
  await manager.destroyByUser("42");

  const kinds = new Set(seen.map((each) => (each instanceof SessionError ? each.code : "event")));
  expect([...kinds].sort()).toEqual([
    "BACKEND",
    "ENCODE",
    "INVALID_ARGUMENT",
    "PAYLOAD_TOO_LARGE",
    "UNAVAILABLE",
    "event",
  ]);
  const text = seen
    .map((each) => `${inspect(each, { depth: 9, showHidden: true })}\n${JSON.stringify(each)}\n${String(each)}`)
    .join("\n");
  expect(text).toContain("ECONNRESET");
  for (const secret of secrets) expect(text).not.toContain(secret);
});
