import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { cloneFrozenJson } from "../src/content/clone-frozen-json.js";
import type { SessionContent } from "../src/content/content.js";
import { type ContentText, contentText } from "../src/content/content-text.js";
import { setUp } from "./support.js";

const keys = fc.constantFrom<string[]>("a", "b", "c", '"quoted":{', "7", "é");
const step = fc.record({
  set: fc.dictionary(keys, fc.jsonValue({ maxDepth: 2 })),
  deleted: fc.array(keys, { maxLength: 2 }),
  isTextKnown: fc.boolean(),
  idleMs: fc.option(fc.constantFrom(5, 6), { nil: undefined }),
});

test("property: the text is the JSON of the content, with any entries copied from the text before", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
      let base: SessionContent = { data: {}, metadata: { ip: "::1" } };
      let known: ContentText | undefined;
      for (const { set, deleted, isTextKnown, idleMs } of steps) {
        const data = Object.fromEntries(
          Object.entries({ ...base.data, ...set }).filter(([key]) => !deleted.includes(key)),
        );
        const content = cloneFrozenJson({ ...base, idleMs, data }, base) ?? base;
        known = contentText(content, base, isTextKnown ? known : undefined);
        expect(known?.payload).toBe(JSON.stringify(content));
        base = content;
      }
    }),
    { numRuns: 2_000 },
  );
});

test("unchanged entries are not encoded again, also after a read", async () => {
  const { manager, store } = setUp();
  const cart = Array.from({ length: 10 }, (_, sku) => ({ sku }));
  const { token, session } = await manager.create({ data: { cart, views: 0, last: true } });
  const count = async () => manager.update(token, (data) => ({ ...data, views: Number(data.views) + 1 }));
  await count();
  const stringify = vi.spyOn(JSON, "stringify");
  await count();
  await count();
  expect(stringify.mock.results.map(({ value }) => String(value)).join()).not.toContain("sku");
  stringify.mockRestore();
  const record = await store.get(session.id);
  expect(record?.payload).toBe(JSON.stringify({ data: { cart, views: 3, last: true }, metadata: {} }));
});

test("a write by another process becomes the base of the next write", async () => {
  const { manager, store } = setUp();
  const { token, session } = await manager.create({ data: { list: [1], n: 1 } });
  await session.update((data) => ({ ...data, n: 2 }));
  // Other keys, another order, and spaces, as no writer of this process puts them.
  await store.update(session.id, { payload: '{ "metadata": {}, "data": { "n": 9, "more": [2], "list": [1, 2] } }' });
  await session.update((data) => ({ ...data, mine: true }));
  await session.update((data) => ({ ...data, n: 10 }));
  expect(session.data).toEqual({ list: [1, 2], more: [2], mine: true, n: 10 });
  const other = setUp();
  const record = await store.get(session.id);
  await other.store.create({ id: session.id, payload: record?.payload ?? "", idleMs: 1_000, absoluteMs: 1_000 });
  expect((await other.manager.byId.get(session.id))?.data).toEqual(session.data);
  expect((await manager.get(token))?.data).toEqual(session.data);
});

test("a session of many keys is encoded as a whole", () => {
  const data = Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`key${n}`, n]));
  expect(contentText({ data, metadata: {} }, { data: {}, metadata: {} }, undefined)).toBeUndefined();
});
