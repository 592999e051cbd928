import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { isSessionError, type SessionError } from "@sojourn/core";
import { type CaseContext, type ConformanceCase, idsOf, session } from "../case.js";

const mebibyte = 1_024 * 1_024;

const payloads: readonly (readonly [name: string, payload: string])[] = [
  ["empty", ""],
  ["a space", " "],
  ["JSON", JSON.stringify({ quotes: `'"\`\\`, nested: [null, true, 1.5] })],
  ["emoji", "😀👩‍👩‍👧‍👦 é e\u0301 用户"],
  ["NUL and control characters", `a\0b${String.fromCharCode(...Array(32).keys())}\u007f`],
  ["line ends", "a\r\nb\nc\r"],
  ["what looks like a number", "007"],
  ["what looks like a record", "v1:2:3:4:5"],
  ["noncharacters and marks", "\ufeff\uffff\u2028\u2029"],
  ["64 KiB and one", "x".repeat(65_537)],
];

/** Promise 10: payloads round-trip byte for byte. */
export const payloadCases: readonly ConformanceCase[] = [
  {
    id: "payload/round-trips",
    promise: 10,
    title: "every payload comes back byte for byte, through create, update, rename, get, list and scan",
    async run({ store, capabilities }) {
      for (const [name, payload] of payloads) {
        const created = await store.create(session(name, { userId: "u", payload }));
        assert.equal(created.status, "created");
        assert.equal(created.record.payload, payload, `${name}: as create answers it`);
        assert.equal((await store.get(name))?.payload, payload, `${name}: as get reads it`);
      }
      const listed = await store.listByUser("u");
      assert.equal(listed.length, payloads.length);
      for (const [name, payload] of payloads) {
        assert.equal(listed.find(({ id }) => id === name)?.payload, payload, `${name}: as the list shows it`);
      }
      if (capabilities.scan) {
        for await (const { id, payload } of store.scan()) {
          assert.equal(payload, payloads.find(([name]) => name === id)?.[1], `${id}: as scan shows it`);
        }
      }
      await store.create(session("a", { payload: "other" }));
      for (const [name, payload] of payloads) {
        await store.update("a", { payload });
        assert.equal((await store.get("a"))?.payload, payload, `${name}: written by update`);
        await store.update("a", { payload: "other" });
        await store.rename("a", "b", { payload });
        assert.equal((await store.get("b"))?.payload, payload, `${name}: written by rename`);
        await store.rename("b", "a", { payload: "other" });
      }
    },
  },
  {
    id: "payload/one-megabyte",
    promise: 10,
    title: "a payload of 1 MB, or the largest that the store declares, comes back byte for byte",
    async run({ store, capabilities }) {
      const bytes = Math.min(mebibyte, capabilities.maxPayloadBytes);
      // Text without repetitions, with characters of more than one byte.
      const payload = Array.from({ length: Math.floor(bytes / 4) }, (_, n) => String.fromCharCode(33 + ((n * 7) % 90)))
        .join("")
        .padEnd(bytes - 4, "x")
        .concat("😀");
      assert.equal(Buffer.byteLength(payload), bytes);
      assert.equal((await store.create(session("a", { userId: "u", payload }))).status, "created");
      assert.ok((await store.get("a"))?.payload === payload, "the payload came back changed");
      assert.equal((await store.update("a", { payload: "small" })).status, "updated");
      assert.equal((await store.update("a", { payload })).status, "updated");
      assert.equal((await store.rename("a", "b")).status, "renamed");
      const [listed] = await store.listByUser("u");
      assert.ok(listed?.payload === payload, "the payload came back changed from the list");
    },
  },
  {
    id: "payload/too-large-is-refused",
    promise: 10,
    title: "a payload of more bytes than the store declares is PAYLOAD_TOO_LARGE, and the stored one stays",
    needs: (_, { maxPayloadBytes }) =>
      maxPayloadBytes > 64 * mebibyte
        ? `the store takes ${maxPayloadBytes} bytes, more than is sensible here`
        : undefined,
    async run({ store, capabilities }) {
      // As many characters as the allowed bytes, but one character has two bytes.
      const payload = `${"x".repeat(capabilities.maxPayloadBytes - 1)}é`;
      const tooLarge = { name: "SessionError", code: "PAYLOAD_TOO_LARGE" };
      await store.create(session("a", { userId: "u", payload: "small" }));
      await assert.rejects(() => store.create(session("b", { userId: "u", payload })), tooLarge);
      await assert.rejects(() => store.update("a", { payload }), tooLarge);
      await assert.rejects(() => store.rename("a", "c", { payload }), tooLarge);
      const read = await store.get("a");
      assert.equal(read?.payload, "small");
      assert.equal(read?.version, 1);
      assert.deepEqual(idsOf(await store.listByUser("u")), ["a"]);
      assert.equal(await store.get("b"), undefined);
      assert.equal(await store.get("c"), undefined);
    },
  },
  {
    id: "payload/refuses-what-is-no-text",
    promise: 10,
    title: "a payload that is no well-formed string is refused, and the stored one stays",
    async run({ store }) {
      await store.create(session("a", { payload: "small" }));
      for (const value of ["\ud800", 7, null, {}, Buffer.from("p")]) {
        // Values that a JavaScript caller may pass.
        const payload = value as string;
        const refused = { name: "SessionError", code: "INVALID_ARGUMENT" };
        await assert.rejects(() => store.create(session("b", { payload })), refused);
        await assert.rejects(() => store.update("a", { payload }), refused);
        await assert.rejects(() => store.rename("a", "b", { payload }), refused);
      }
      assert.equal((await store.get("a"))?.payload, "small");
      assert.equal(await store.get("b"), undefined);
    },
  },
];

/** Promise 12: a corrupt record is reported and left alone. */
export const corruptionCases: readonly ConformanceCase[] = [
  {
    id: "corrupt/get-rejects",
    promise: 12,
    title: "get of a corrupt record rejects CORRUPT, each time: nothing is deleted or overwritten",
    needs: needsCorrupt,
    async run(context) {
      const { store } = context;
      await corruptOneOfThree(context);
      await assert.rejects(() => store.get("b"), { name: "SessionError", code: "CORRUPT" });
      await assert.rejects(() => store.get("b"), { name: "SessionError", code: "CORRUPT" });
      assert.equal((await store.get("a"))?.id, "a");
    },
  },
  {
    id: "corrupt/list-goes-on",
    promise: 12,
    title: "listByUser leaves a corrupt record out, reports it once and goes on",
    needs: needsCorrupt,
    async run(context) {
      const { store } = context;
      await corruptOneOfThree(context);
      const reported: SessionError[] = [];
      const listed = await store.listByUser("u", { onCorrupt: (error) => reported.push(error) });
      assert.deepEqual(idsOf(listed), ["a", "c"]);
      assert.deepEqual(
        reported.map(({ code }) => code),
        ["CORRUPT"],
      );
      assert.deepEqual(idsOf(await store.listByUser("u")), ["a", "c"]);
      await assert.rejects(() => store.get("b"), { code: "CORRUPT" }, "listing removed the corrupt record");
    },
  },
  {
    id: "corrupt/scan-goes-on",
    promise: 12,
    title: "scan leaves a corrupt record out, reports it once and goes on",
    needs: (harness, capabilities) => (capabilities.scan ? needsCorrupt(harness) : "this store cannot scan"),
    async run(context) {
      const { store } = context;
      await corruptOneOfThree(context);
      const reported: SessionError[] = [];
      const seen = new Set<string>();
      for await (const { id } of store.scan({ onCorrupt: (error) => reported.push(error) })) seen.add(id);
      assert.deepEqual([...seen].sort(), ["a", "c"]);
      assert.ok(reported.length > 0 && reported.every(({ code }) => code === "CORRUPT"), "scan did not report it");
      for await (const { id } of store.scan()) assert.notEqual(id, "b");
      await assert.rejects(() => store.get("b"), { code: "CORRUPT" }, "scanning removed the corrupt record");
    },
  },
  {
    id: "corrupt/neighbours-unharmed",
    promise: 12,
    title: "a corrupt session fails no operation on the user's other sessions",
    needs: needsCorrupt,
    async run(context) {
      const { store } = context;
      await corruptOneOfThree(context);
      assert.equal((await store.update("a", { payload: "new" })).status, "updated");
      assert.equal(await store.touch("c", { idleMs: 7_200_000 }), true);
      assert.equal((await store.create(session("d", { userId: "u" }))).status, "created");
      assert.equal((await store.rename("c", "e")).status, "renamed");
      await store.destroy("d");
      assert.deepEqual(idsOf(await store.listByUser("u")).sort(), ["a", "e"]);
      await assert.rejects(() => store.get("b"), { code: "CORRUPT" }, "the corrupt record is gone");
      const ended = await store.destroyByUser("u");
      assert.deepEqual(ended.filter((id) => id !== "b").sort(), ["a", "e"]);
    },
  },
  {
    id: "corrupt/keeps-its-id",
    promise: 12,
    title: "neither create nor rename overwrites a corrupt record",
    needs: needsCorrupt,
    async run(context) {
      const { store } = context;
      await corruptOneOfThree(context);
      // The store decides whether the id counts as taken or the record as corrupt.
      const outcomes = [
        await outcomeAt(() => store.create(session("b", { payload: "over it" }))),
        await outcomeAt(() => store.rename("a", "b")),
      ];
      for (const outcome of outcomes) assert.match(outcome, /^(duplicate|CORRUPT)$/);
      await assert.rejects(() => store.get("b"), { code: "CORRUPT" }, "the corrupt record was overwritten");
      assert.equal((await store.get("a"))?.id, "a");
    },
  },
  {
    // An awaited promise resumes in the context of the caller. A callback of the store does not.
    id: "corrupt/reported-in-the-callers-context",
    promise: 12,
    title: "a corrupt record is reported in the async context of the caller",
    needs: needsCorrupt,
    async run(context) {
      const { store, capabilities } = context;
      await corruptOneOfThree(context);
      const storage = new AsyncLocalStorage<string>();
      const found: (string | undefined)[] = [];
      const onCorrupt = (): void => {
        found.push(storage.getStore());
      };
      await Promise.all(["one", "two"].map((name) => storage.run(name, () => store.listByUser("u", { onCorrupt }))));
      assert.deepEqual(found.sort(), ["one", "two"]);
      if (!capabilities.scan) return;
      await storage.run("scan", async () => {
        for await (const _ of store.scan({ onCorrupt }));
      });
      assert.equal(found.at(-1), "scan");
    },
  },
];

async function outcomeAt(call: () => Promise<{ readonly status: string }>): Promise<string> {
  try {
    return (await call()).status;
  } catch (error) {
    if (isSessionError(error)) return error.code;
    throw error;
  }
}

async function corruptOneOfThree({ store, harness, namespace, pass }: CaseContext): Promise<void> {
  for (const id of ["a", "b", "c"]) {
    await store.create(session(id, { userId: "u" }));
    await pass(2);
  }
  await harness.corrupt?.(namespace, "b");
}

function needsCorrupt({ corrupt }: CaseContext["harness"]): string | undefined {
  return corrupt === undefined ? "the harness cannot corrupt a record" : undefined;
}
