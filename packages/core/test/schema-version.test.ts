import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  jsonCodec,
  type SessionData,
  SessionError,
  SessionManager,
  type SessionManagerOptions,
  type UpgradeFunction,
} from "../src/index.js";
import { setUp } from "./support.js";

/** Version 1 stored a name, version 2 stores its parts, version 3 also when they were last changed. */
const upgrade: UpgradeFunction<SessionData> = (data, from) => {
  let upgraded: Record<string, unknown> = { ...data };
  if (from < 2) {
    const { name, ...rest } = upgraded;
    const [first, last] = String(name).split(" ");
    upgraded = { ...rest, first, last };
  }
  return { ...upgraded, changedAt: 0 };
};

/** A session of version 1, and managers of other releases over the same store. */
async function release1(data: Record<string, unknown> = { name: "Ada Lovelace", theme: "dark" }) {
  const fixture = setUp();
  const { token, session } = await fixture.manager.create({ data });
  const release = (options: Partial<SessionManagerOptions>): SessionManager =>
    new SessionManager({ store: fixture.store, sweep: false, ...options });
  const payload = async (): Promise<string | undefined> => (await fixture.store.get(session.id))?.payload;
  return { ...fixture, token, id: session.id, release, payload };
}

describe("the sessions of the release before", () => {
  test("are upgraded when read, and written with the next write, not before", async () => {
    const { token, calls, payload, release } = await release1();
    const before = await payload();
    expect(before).toBe('{"data":{"name":"Ada Lovelace","theme":"dark"},"metadata":{}}');
    const manager = release({ schemaVersion: 3, upgrade });
    const session = await manager.get(token);
    expect(session?.data).toEqual({ first: "Ada", last: "Lovelace", theme: "dark", changedAt: 0 });
    expect(Object.isFrozen(session?.data)).toBe(true);
    expect(await session?.save({ ...session.data })).toBe("unchanged");
    expect(await payload()).toBe(before);
    calls.length = 0;
    await session?.update((data) => ({ ...data, theme: "light" }));
    expect(calls).toEqual(["update"]);
    expect(await payload()).toBe(
      '{"data":{"theme":"light","first":"Ada","last":"Lovelace","changedAt":0},"metadata":{},"schemaVersion":3}',
    );
    expect((await manager.get(token))?.data).toMatchObject({ theme: "light", first: "Ada" });
  });

  test("come from every version below, one step after the other", async () => {
    const { token, release } = await release1();
    const second = release({ schemaVersion: 2, upgrade: (data) => ({ ...data, first: "A", last: "B" }) });
    await second.update(token, (data) => ({ ...data, from2: true }));
    const seen: number[] = [];
    const third = release({
      schemaVersion: 3,
      upgrade: async (data, from) => {
        seen.push(from);
        return upgrade(data, from);
      },
    });
    expect((await third.get(token))?.data).toMatchObject({ from2: true, first: "A", changedAt: 0 });
    expect(seen).toEqual([2]);
  });

  test("are merged against the upgraded data: an upgrade by another writer is not undone", async () => {
    const { token, release } = await release1();
    const manager = release({ schemaVersion: 3, upgrade });
    const mine = await manager.get(token);
    const theirs = await manager.get(token);
    await theirs?.save({ ...theirs.data, theirs: true });
    expect(await mine?.save({ ...mine.data, mine: true })).toBe("saved");
    expect(mine?.data).toEqual({
      first: "Ada",
      last: "Lovelace",
      theme: "dark",
      changedAt: 0,
      theirs: true,
      mine: true,
    });
  });

  test("an upgrade that a concurrent writer of the old release overtakes runs again", async () => {
    const { token, manager: first, release } = await release1();
    const session = await release({ schemaVersion: 3, upgrade }).get(token);
    await first.update(token, (data) => ({ ...data, name: "Grace Hopper" }));
    expect(await session?.save({ ...session.data, theme: "light" })).toBe("saved");
    expect(session?.data).toEqual({ first: "Grace", last: "Hopper", theme: "light", changedAt: 0 });
  });

  test("keep their data through a regeneration, which writes them again", async () => {
    const { token, release, store } = await release1();
    const manager = release({ schemaVersion: 3, upgrade });
    const fresh = await manager.regenerate(token);
    expect(fresh?.session.data).toMatchObject({ first: "Ada" });
    expect((await store.get(fresh?.session.id ?? ""))?.payload).toContain('"schemaVersion":3');
  });

  test("the result of an upgrade is validated, with defaults filled in, and neither shared nor frozen", async () => {
    const { token, release } = await release1();
    const roles = ["reader"];
    const manager = release({
      schemaVersion: 2,
      schema: z.object({ name: z.string(), visits: z.number().default(0), roles: z.array(z.string()) }),
      upgrade: (data) => ({ ...data, roles }),
    });
    expect((await manager.get(token))?.data).toEqual({ name: "Ada Lovelace", visits: 0, roles: ["reader"] });
    expect(Object.isFrozen(roles)).toBe(false);
  });
});

describe("unreadable, and left as it is", () => {
  const throws = (error: Error) => () => {
    throw error;
  };
  test.each<[string, Partial<SessionManagerOptions>, RegExp]>([
    ["no upgrade is set", { schemaVersion: 2 }, /schema version 1 of 2, and no "upgrade" is set$/],
    [
      "the upgrade throws",
      { schemaVersion: 2, upgrade: throws(new Error("no hunter2")) },
      /schema version 1, was refused/,
    ],
    [
      "the result does not match the schema",
      { schemaVersion: 2, upgrade: (data) => data, schema: z.looseObject({ first: z.string() }) },
      /schema version 1, was refused/,
    ],
    [
      "the result is no object",
      // Past the types, as from JavaScript.
      { schemaVersion: 2, upgrade: (() => "text") as unknown as UpgradeFunction<SessionData> },
      /"upgrade" must return an object$/,
    ],
    [
      "the result is no data",
      { schemaVersion: 2, upgrade: (data) => ({ ...data, call: () => 1 }) },
      /schema version 1, was refused/,
    ],
  ])("when %s", async (_name, options, message) => {
    const { token, release, payload } = await release1();
    const before = await payload();
    const manager = release(options);
    const errors: unknown[] = [];
    manager.on("error", ({ error }) => errors.push(error));
    const reading = manager.get(token);
    await expect(reading).rejects.toMatchObject({ code: "DECODE", message: expect.stringMatching(message) });
    await expect(reading).rejects.not.toThrow("hunter2");
    expect(errors).toHaveLength(1);
    await expect(manager.regenerate(token)).rejects.toMatchObject({ code: "DECODE" });
    expect(await payload()).toBe(before);
  });

  test("when the payload is of a later release, as after a rollback", async () => {
    const { token, manager: first, release } = await release1();
    await release({ schemaVersion: 3, upgrade }).update(token, (data) => ({ ...data, theme: "light" }));
    await expect(first.get(token)).rejects.toMatchObject({
      code: "DECODE",
      message: expect.stringMatching(/it has schema version 3, and this manager reads up to 1$/),
    });
  });

  test("by a regeneration of a release without versions: the token keeps finding it", async () => {
    const { token, manager: first, release } = await release1();
    const third = release({ schemaVersion: 3, upgrade });
    await third.update(token, (data) => ({ ...data, theme: "light" }));
    await expect(first.regenerate(token, { userId: "42" })).rejects.toMatchObject({ code: "DECODE" });
    expect(await third.get(token)).toMatchObject({ userId: undefined, data: { theme: "light" } });
  });

  test.each([0, -1, 1.5, "2", null])("when its version is %j", async (schemaVersion) => {
    const codec = { ...jsonCodec, decode: () => ({ data: {}, metadata: {}, schemaVersion }) };
    const { token, release } = await release1();
    await expect(release({ codec }).get(token)).rejects.toMatchObject({ code: "DECODE" });
  });
});

test("a SessionError of an upgrade passes unchanged: it may be retryable", async () => {
  const { token, release } = await release1();
  const error = new SessionError("UNAVAILABLE", "the directory is down");
  const manager = release({ schemaVersion: 2, upgrade: () => Promise.reject(error) });
  await expect(manager.get(token)).rejects.toBe(error);
});
