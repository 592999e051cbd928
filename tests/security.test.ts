import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { type EncryptionKey, encryptedCodec, isSessionError, SessionManager, type SessionStore } from "@sojourn/core";
import { afterAll, describe, expect, test } from "vitest";
import { backends, newNamespace, startBackend, stopBackends } from "./backends.js";
import { packages, root } from "./support.js";

afterAll(stopBackends);

/** Patient: a busy machine is no outage. */
const timeoutMs = 60_000;

function newKey(id: string): EncryptionKey {
  return { id, secret: randomBytes(32) };
}

test("no published package can run the data that it reads", async () => {
  const sources = packages.flatMap(({ folder }) =>
    readdirSync(`${root}/packages/${folder}/src`, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => `packages/${folder}/src/${file}`),
  );
  // An import of a literal name cannot load a package that depends on the data read.
  const dynamicImport = /\bimport\((?!"[@\w/-]+"\))/;
  const others = /\beval\b|\bnew Function\b|node:(vm|v8|child_process)|\bdeserialize\b|\bcreateRequire\b/;
  const reaching = new RegExp(`${others.source}|${dynamicImport.source}`);
  expect('import("ioredis")').not.toMatch(reaching);
  for (const computed of ["import(name)", "import(`x`)", 'import("x" + y)']) expect(computed).toMatch(reaching);
  const reach = sources.filter((file) => reaching.test(readFileSync(`${root}/${file}`, "utf8")));
  expect(sources.length).toBeGreaterThan(100);
  expect(reach).toEqual([]);
});

describe.each(backends)("%s", (name) => {
  test("after a login a dump holds neither token, nor the session's data when it is encrypted", async () => {
    const backend = await startBackend(name);
    for (const codec of [undefined, encryptedCodec({ keys: [newKey("a")] })]) {
      const namespace = newNamespace();
      const marker = `the marker of ${namespace}`;
      const manager = new SessionManager({ store: await backend.open(namespace), codec, timeoutMs, sweep: false });
      const visit = await manager.create({ data: { marker }, metadata: { userAgent: marker } });
      const login = await manager.regenerate(visit.token, { userId: "42", update: (data) => ({ ...data, n: 1 }) });
      await manager.get(login?.token ?? "");
      const dump = await backend.dump(namespace);
      // The controls: what is dumped is this session, and the marker shows where nothing hides it.
      expect(dump).toContain(login?.session.id);
      expect(dump.includes(marker)).toBe(codec === undefined);
      for (const token of [visit.token, login?.token ?? ""]) {
        expect(dump).not.toContain(token);
        expect(dump).not.toContain(Buffer.from(token, "base64url").toString("latin1"));
        expect(dump).not.toContain(Buffer.from(token, "base64url").toString("hex"));
      }
    }
  });

  test("a key rotation: old sessions are read, move to the new key as they are written, and end with the old one", async () => {
    const [a, b] = [newKey("a"), newKey("b")];
    const store = await (await startBackend(name)).open(newNamespace());
    const open = (...keys: EncryptionKey[]): SessionManager =>
      new SessionManager({ store, codec: encryptedCodec({ keys }), timeoutMs, sweep: false });
    const keyOf = async (id: string | undefined): Promise<string | undefined> =>
      (await store.get(id ?? ""))?.payload.split(".")[1];

    const left = await open(a).create({ userId: "42", data: { n: 1 } });
    const rewritten = await open(a).create({ userId: "42", data: { n: 2 } });
    const regenerated = await open(a).create({ userId: "42", data: { n: 3 } });

    const during = open(b, a);
    expect((await during.listByUser("42")).map(({ data }) => data.n).sort()).toEqual([1, 2, 3]);
    await during.update(rewritten.token, ({ n }) => ({ n: Number(n) * 10 }));
    const fresh = await during.regenerate(regenerated.token);
    expect(await Promise.all([left.session.id, rewritten.session.id, fresh?.session.id].map(keyOf))).toEqual([
      "a",
      "b",
      "b",
    ]);

    const after = open(b);
    await expect(after.get(left.token)).rejects.toMatchObject({ code: "DECODE" });
    expect((await after.get(rewritten.token))?.data).toEqual({ n: 20 });
    expect((await after.get(fresh?.token ?? ""))?.data).toEqual({ n: 3 });
  });

  test("of 50 parallel logins with a limit of 5, over and over, 5 live on, and all of them are listed", async () => {
    const { open, races = 100 } = await startBackend(name);
    const store = await open(newNamespace());
    const rounds = Array.from({ length: races }, (_, round) => round);
    // Users do not wait for each other: as many at a time as the connections of a pool keep busy.
    const workers = Array.from({ length: 4 }, async () => {
      for (let round = rounds.pop(); round !== undefined; round = rounds.pop()) await loginTogether(store, round);
    });
    await Promise.all(workers);
  });
});

/** One user, from 50 browsers at once, under either policy. */
async function loginTogether(store: SessionStore, round: number): Promise<void> {
  const whenReached = round % 2 === 0 ? "evictOldest" : "reject";
  const sessionLimit = { max: 5, whenReached } as const;
  const manager = new SessionManager({ store, sessionLimit, timeoutMs, sweep: false });
  let events = 0;
  manager.on("destroyed", () => events++);
  const userId = `user ${round}`;
  const logins = await Promise.allSettled(Array.from({ length: 50 }, () => manager.create({ userId, data: {} })));
  const created = logins.flatMap((login) => (login.status === "fulfilled" ? [login.value] : []));
  const refused = logins.flatMap((login) => (login.status === "rejected" ? [login.reason as unknown] : []));
  expect(refused.filter((error) => !isSessionError(error, "LIMIT_REACHED"))).toEqual([]);
  expect(created).toHaveLength(whenReached === "reject" ? 5 : 50);

  const listed = (await manager.listByUser(userId)).map(({ id }) => id);
  const read = await Promise.all(created.map(({ token }) => manager.get(token)));
  const live = read.flatMap((session) => (session === undefined ? [] : [session.id]));
  expect(live).toHaveLength(5);
  expect(new Set(listed)).toEqual(new Set(live));
  expect(events).toBe(created.length - 5);
}
