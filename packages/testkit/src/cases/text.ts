import assert from "node:assert/strict";
import { isSessionError } from "@sojourn/core";
import { aliasPrefix } from "@sojourn/core/adapter";
import { type ConformanceCase, idsOf, inParallel, session } from "../case.js";

/** Texts with a special meaning for some backend, or for careless code. */
export const awkwardTexts: readonly string[] = [
  ":",
  "a:b",
  "*",
  "a?c",
  "[a-z]",
  "]",
  "{tag}",
  "'",
  "' OR '1'='1",
  '"',
  "`",
  "%",
  "_",
  "a_c",
  "\\",
  "\\'",
  "$1",
  "$where",
  "a.b",
  "a b",
  "a\r\nb",
  "\r\n",
  "\t",
  "\u0001",
  "\u007f",
  "\u2028",
  "\ufeff",
  "0",
  "null",
  "undefined",
  "__proto__",
  "constructor",
  "..",
  "a/b",
  "émile",
  "用户",
  "👩‍👩‍👧‍👦",
  "x".repeat(512),
  "é".repeat(256),
  "😀".repeat(128),
];

/** Promise 8: ids, user ids and namespaces hold any well-formed text. */
export const textCases: readonly ConformanceCase[] = [
  {
    id: "text/awkward-ids",
    promise: 8,
    title: "any well-formed text of up to 512 bytes is an id, in every method",
    async run({ store }) {
      for (const id of awkwardTexts) {
        const created = await store.create(session(id, { userId: "u", payload: `of ${id}` }));
        assert.equal(created.status, "created", `create of id ${JSON.stringify(id)}`);
      }
      for (const id of awkwardTexts) {
        const read = await store.get(id);
        assert.equal(read?.id, id);
        assert.equal(read.payload, `of ${id}`);
      }
      assert.deepEqual(idsOf(await store.listByUser("u")).sort(), [...awkwardTexts].sort());
      for (const id of awkwardTexts) {
        const what = `of id ${JSON.stringify(id)}`;
        assert.equal((await store.update(id, { payload: "new" })).status, "updated", `update ${what}`);
        assert.equal(await store.touch(id, { idleMs: 7_200_000 }), true, `touch ${what}`);
      }
      assert.equal((await store.destroyByUser("u", { except: "*" })).length, awkwardTexts.length - 1);
      assert.deepEqual(idsOf(await store.listByUser("u")), ["*"]);
      for (const id of awkwardTexts.filter((text) => text !== "*")) assert.equal(await store.get(id), undefined);
    },
  },
  {
    id: "text/awkward-ids-renamed",
    promise: 8,
    title: "any well-formed text can be renamed from and to, and destroyed alone",
    async run({ store }) {
      await store.create(session("plain", { userId: "u" }));
      let id = "plain";
      for (const newId of awkwardTexts) {
        const renamed = await store.rename(id, newId);
        assert.equal(renamed.status, "renamed", `rename from ${JSON.stringify(id)} to ${JSON.stringify(newId)}`);
        assert.equal(renamed.record.id, newId);
        id = newId;
      }
      assert.deepEqual(idsOf(await store.listByUser("u")), [id]);
      await store.create(session("bystander", { userId: "u" }));
      for (const other of awkwardTexts) {
        if (other !== id) assert.equal(await store.destroy(other), undefined, `${JSON.stringify(other)} was there`);
      }
      assert.deepEqual(await store.destroy(id), { id, userId: "u" });
      assert.deepEqual(idsOf(await store.listByUser("u")), ["bystander"]);
    },
  },
  {
    id: "text/awkward-user-ids",
    promise: 8,
    title: "any well-formed text of up to 512 bytes is a user id, with an index and a limit of its own",
    async run({ store }) {
      const limit = { max: 1, whenReached: "reject" } as const;
      for (const [n, userId] of awkwardTexts.entries()) {
        const created = await store.create(session(`a${n}`, { userId }), { limit });
        assert.equal(created.status, "created", `create for user ${JSON.stringify(userId)}`);
      }
      for (const [n, userId] of awkwardTexts.entries()) {
        const listed = await store.listByUser(userId);
        assert.deepEqual(idsOf(listed), [`a${n}`], `the list of user ${JSON.stringify(userId)}`);
        assert.equal(listed[0]?.userId, userId);
      }
      for (const [n, userId] of awkwardTexts.entries()) {
        assert.deepEqual(await store.destroyByUser(userId), [`a${n}`]);
      }
    },
  },
  {
    id: "text/refused-ids",
    promise: 8,
    title: "an id or user id that is empty, too long, ill-formed, holds NUL or is no string is refused everywhere",
    async run({ store }) {
      const refused: unknown[] = [
        "",
        "x".repeat(513),
        "é".repeat(257),
        "a\0b",
        "\ud800",
        "a\udc00",
        7,
        null,
        ["a"],
        {},
      ];
      for (const value of refused) {
        // Values that a JavaScript caller may pass.
        const text = value as string;
        const calls = {
          "create by id": () => store.create(session(text)),
          get: () => store.get(text),
          update: () => store.update(text, { payload: "p" }),
          touch: () => store.touch(text, { idleMs: 1_000 }),
          rename: () => store.rename(text, "b"),
          "rename to": () => store.rename("a", text),
          destroy: () => store.destroy(text),
          listByUser: () => store.listByUser(text),
          destroyByUser: () => store.destroyByUser(text),
          "destroyByUser except": () => store.destroyByUser("u", { except: text }),
          ...(value !== null && {
            "create for user": () => store.create(session("a", { userId: text })),
            "update to user": () => store.update("a", { userId: text }),
          }),
        };
        for (const [name, call] of Object.entries(calls)) {
          await assert.rejects(call, (error) => {
            const what = `${name} of ${typeof value} ${JSON.stringify(value)?.slice(0, 20)}`;
            assert.ok(isSessionError(error, "INVALID_ARGUMENT"), `${what} is not refused: ${error}`);
            return true;
          });
        }
      }
    },
  },
];

/** Promise 17: ids compare byte for byte. */
export const twinCases: readonly ConformanceCase[] = [
  {
    id: "text/twins-are-strangers",
    promise: 17,
    title: "ids that differ by case, a trailing space or Unicode form alone are different ids",
    async run({ store }) {
      for (const [n, family] of twins.entries()) {
        const [first = "", ...others] = family.map((text) => `${n}${text}`);
        await store.create(session(first, { userId: "u" }));
        for (const other of others) {
          const what = `${JSON.stringify(other)} is taken for ${JSON.stringify(first)}`;
          assert.equal(await store.get(other), undefined, what);
          assert.equal(await store.touch(other, { idleMs: 1_000, shorten: true }), false, what);
          assert.deepEqual(await store.update(other, { payload: "p" }), { status: "missing" }, what);
          assert.deepEqual(await store.rename(other, "new"), { status: "missing" }, what);
          assert.equal(await store.destroy(other), undefined, what);
          assert.equal((await store.create(session(other, { userId: "u" }))).status, "created", what);
          assert.equal((await store.get(other))?.id, other);
        }
        assert.equal((await store.get(first))?.payload, `payload of ${first}`);
      }
      assert.equal((await store.listByUser("u")).length, twins.flat().length);
    },
  },
  {
    id: "text/twin-users-are-strangers",
    promise: 17,
    title: "user ids that differ by case, a trailing space or Unicode form alone are different users",
    async run({ store }) {
      const users = twins.flatMap((family, n) => family.map((text) => `${n}${text}`));
      for (const [n, userId] of users.entries()) await store.create(session(`a${n}`, { userId }));
      for (const [n, userId] of users.entries()) {
        assert.deepEqual(idsOf(await store.listByUser(userId)), [`a${n}`], `the list of ${JSON.stringify(userId)}`);
      }
      assert.deepEqual(await store.destroyByUser(users[0] ?? ""), ["a0"]);
      assert.equal((await store.get("a1"))?.userId, users[1]);
    },
  },
];

const twins: readonly (readonly string[])[] = [
  ["abc", "ABC", "aBc"],
  ["abc", "abc ", "abc  ", " abc", "abc\t"],
  ["é", "e\u0301", "e"],
  ["ß", "ss"],
  ["ﬁ", "fi"],
  ["straße", "strasse"],
  ["1", "01", "1.0", "١"],
  ["a", "a\u200b", "ａ"],
  ["i", "İ", "ı"],
  ["", "\u0001"],
];

/** Promise 9: namespaces never see each other. */
export const namespaceCases: readonly ConformanceCase[] = [
  {
    id: "namespace/isolated",
    promise: 9,
    title: "stores on different namespaces never see each other's sessions, users or limits",
    async run({ store, open, freshNamespace, capabilities }) {
      const other = await open(freshNamespace());
      const limit = { max: 1, whenReached: "evictOldest" } as const;
      await store.create(session("a", { userId: "u", payload: "mine" }), { limit });
      assert.equal(await other.get("a"), undefined);
      assert.deepEqual(await other.listByUser("u"), []);
      const created = await other.create(session("a", { userId: "u", payload: "theirs" }), { limit });
      assert.equal(created.status, "created");
      assert.deepEqual(created.evicted, []);
      assert.equal((await store.get("a"))?.payload, "mine");
      if (capabilities.count) assert.equal((await store.count()).sessions, 1);
      if (capabilities.scan) {
        const seen = [];
        for await (const { payload } of store.scan()) seen.push(payload);
        assert.deepEqual(seen, ["mine"]);
      }
      assert.deepEqual(await other.destroyByUser("u"), ["a"]);
      assert.equal((await store.get("a"))?.payload, "mine");
      await other.create(session("b"));
      await store.destroy("b");
      assert.equal((await other.get("b"))?.id, "b");
    },
  },
  {
    id: "count/leaves-out-aliases",
    promise: 9,
    title: "count leaves out the aliases that a manager keeps beside its sessions, and get reads them",
    needs: (_, { count }) => (count ? undefined : "this store cannot count"),
    async run({ store }) {
      const aliases = ["a", "b", "c"].map((name) => `${aliasPrefix}${name}`);
      for (const id of [...aliases, "anonymous", "alias"]) await store.create(session(id));
      await store.create(session("u", { userId: "u" }));
      assert.deepEqual(await store.count(), { sessions: 3, sessionsWithUser: 1, users: 1 });
      assert.equal((await store.get(`${aliasPrefix}a`))?.id, `${aliasPrefix}a`);
      await store.destroy(`${aliasPrefix}b`);
      await store.destroy("anonymous");
      assert.deepEqual(await store.count(), { sessions: 2, sessionsWithUser: 1, users: 1 });
    },
  },
  {
    id: "namespace/clear-removes-its-own",
    promise: 9,
    title: "clear removes everything of its namespace, for each store on it, and nothing of another",
    async run({ store, open, namespace }) {
      const node = await open();
      // A namespace whose name begins with this one's is a different namespace.
      const neighbour = await open(`${namespace}x`);
      await inParallel(30, async (n) => {
        await store.create(session(`a${n}`, { userId: "u" }));
        await neighbour.create(session(`a${n}`, { userId: "u" }));
      });
      await store.create(session("anonymous"));
      await store.clear();
      assert.equal(await node.get("a1"), undefined);
      assert.equal(await node.get("anonymous"), undefined, "an anonymous session outlived clear");
      assert.deepEqual(await node.listByUser("u"), []);
      assert.deepEqual(await node.update("a1", { payload: "late" }), { status: "missing" });
      assert.equal(await node.touch("a1", { idleMs: 1_000 }), false);
      assert.deepEqual(await store.destroyByUser("u"), []);
      assert.equal((await neighbour.listByUser("u")).length, 30);
      assert.equal((await node.create(session("a1", { userId: "u" }))).status, "created");
      assert.deepEqual(idsOf(await store.listByUser("u")), ["a1"]);
    },
  },
  {
    id: "namespace/clear-twice",
    promise: 9,
    title: "clear of an empty namespace changes nothing, and the namespace keeps working",
    async run({ store }) {
      await store.clear();
      await store.clear();
      await store.create(session("a", { userId: "u" }));
      assert.deepEqual(idsOf(await store.listByUser("u")), ["a"]);
      await store.clear();
      assert.deepEqual(await store.listByUser("u"), []);
    },
  },
  {
    id: "namespace/clear-of-many",
    promise: 9,
    title: "clear, count and scan hold for as many sessions as a namespace ever has",
    async run({ store, scaled, capabilities }) {
      const many = scaled(150_000);
      await inParallel(many, (n) =>
        store.create(session(`a${n}`, { userId: n % 3 === 0 ? undefined : `u${n % 500}` })),
      );
      if (capabilities.count) assert.equal((await store.count()).sessions, many);
      if (capabilities.scan) {
        const seen = new Set<string>();
        for await (const { id } of store.scan()) seen.add(id);
        assert.equal(seen.size, many);
      }
      await store.clear();
      if (capabilities.count) {
        assert.deepEqual(await store.count(), { sessions: 0, sessionsWithUser: 0, users: 0 });
      }
      for (const n of [0, 1, many - 1]) assert.equal(await store.get(`a${n}`), undefined);
      assert.deepEqual(await store.listByUser("u1"), []);
    },
  },
  {
    id: "namespace/awkward-names",
    promise: 8,
    title: "any text that this backend accepts is a namespace, and is never read as a pattern",
    async run({ harness, open, freshNamespace }) {
      // The unique part (17 bytes) comes first, so that the awkward end is next to the store's own suffix.
      const unique = freshNamespace();
      const namespaces =
        harness.awkwardNamespaces ??
        awkwardTexts.filter((text) => Buffer.byteLength(text) <= 495).map((text) => `${unique}${text}`);
      const stores = await Promise.all(namespaces.map((namespace) => open(namespace)));
      for (const [n, store] of stores.entries()) {
        const created = await store.create(session("a", { userId: "u", payload: `in ${n}` }));
        assert.equal(created.status, "created", `namespace ${JSON.stringify(namespaces[n])} is not its own`);
      }
      for (const [n, store] of stores.entries()) {
        const rest = stores.slice(n + 1);
        assert.equal((await store.get("a"))?.payload, `in ${n}`);
        assert.equal((await store.listByUser("u")).length, 1);
        await store.clear();
        assert.equal(await store.get("a"), undefined);
        for (const [m, other] of rest.entries()) {
          const read = await other.get("a");
          const what = `clear of ${JSON.stringify(namespaces[n])} reached ${JSON.stringify(namespaces[n + 1 + m])}`;
          assert.equal(read?.payload, `in ${n + 1 + m}`, what);
        }
      }
    },
  },
];
