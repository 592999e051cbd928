import { randomBytes } from "node:crypto";
import { MemoryStore } from "@sojourn/memory";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encryptedCodec, jsonCodec, type Session, SessionManager, type SessionManagerOptions } from "../src/index.js";

/*
 * Two managers, as two processes, over one store, against a model that writes and reads everything as JSON and takes nothing
 * over from anywhere.
 */

type Data = Record<string, unknown>;

// No key is a lone backslash: after one, JSON.parse of Node 24.21 can read a key of one escaped character as a backslash.
const key = fc.constantFrom(
  ..."a b c 7 10 é constructor __proto__ toString".split(" "),
  '"quoted":{',
  "\\\\",
  "\ud800",
);
const odd = fc.constantFrom<(from: Data) => unknown>(
  () => undefined,
  () => -0,
  () => Number.NaN,
  () => new Date(0),
  () => Object.assign([1], { 2: 3 }),
  () => '\udc00\u2028\\"',
  () => ({ toJSON: (name: string) => `for ${name}` }),
  () => JSON.parse('{"__proto__":{"x":1},"constructor":{"prototype":{}},"kept":[]}'),
  () => Object.assign(Object.create(null), { rawJSON: [1], 1: {} }),
  // Values that were read move to another key, or stay in place within a new object.
  (from) => Object.values(from)[0],
  (from) => ({ moved: Object.values(from) }),
  (from) => from,
);
const value = fc.oneof(
  fc
    .jsonValue({ maxDepth: 3 })
    .filter((json) => !JSON.stringify(json).includes('"\\\\":'))
    .map((json) => () => json),
  odd,
);
const change = fc.record({
  set: fc.array(fc.tuple(key, value), { maxLength: 3 }),
  deleted: fc.array(key, { maxLength: 2 }),
  isReversed: fc.boolean(),
});
type Change = typeof change extends fc.Arbitrary<infer Made> ? Made : never;
const step = fc.record({
  action: fc.constantFrom("update", "update", "save", "save", "overwrite", "read", "rename"),
  manager: fc.nat(1),
  handle: fc.nat(3),
  change,
});

function changed(data: Data, { set, deleted, isReversed }: Change): Data {
  const entries = Object.entries(data).filter(([name]) => !deleted.includes(name));
  if (isReversed) entries.reverse();
  return Object.fromEntries([...entries, ...set.map(([name, make]) => [name, make(data)] as const)]);
}

const context = { id: "", userId: undefined };
function throughJson(data: Data): Data {
  return jsonCodec.decode(JSON.stringify(data), context) as Data;
}

function json(of: Data, name: string): string | undefined {
  return Object.hasOwn(of, name) ? JSON.stringify(of[name]) : undefined;
}

/** Returns the stored data after a save of `data` by a writer who has read `base`. */
function merged(stored: Data, base: Data, data: Data): Data {
  const result: [string, unknown][] = [];
  const isChanged = (name: string) => json(base, name) !== json(data, name);
  for (const [name, before] of Object.entries(stored)) {
    if (!isChanged(name)) result.push([name, before]);
    else if (json(data, name) !== undefined) result.push([name, data[name]]);
  }
  for (const [name, after] of Object.entries(data)) {
    if (!Object.hasOwn(stored, name) && isChanged(name) && json(data, name) !== undefined) result.push([name, after]);
  }
  return Object.fromEntries(result);
}

/** Whether a save has nothing to write. */
function isSame(base: Data, data: Data): boolean {
  const names = new Set([...Object.keys(base), ...Object.keys(data)]);
  return [...names].every((name) => json(base, name) === json(data, name));
}

const identity = {
  "~standard": { version: 1, vendor: "test", validate: (data: unknown) => ({ value: data as Data }) },
} as const;
function found(session: Session | undefined): Session {
  if (session === undefined) throw new Error("the session is gone");
  return session;
}

/** The session as the last write left it, what the model says is stored, and handles of several ages. */
interface State {
  readonly session: Session;
  readonly stored: Data;
  readonly version: number;
  readonly handles: readonly Session[];
}

interface Turn {
  readonly manager: SessionManager;
  readonly handle: Session;
  readonly change: Change;
}

async function read(state: State, { manager }: Turn): Promise<State> {
  return { ...state, handles: [...state.handles.slice(-3), found(await manager.byId.get(state.session.id))] };
}

async function rename({ session, stored }: State, { manager, change }: Turn): Promise<State> {
  const newId = randomBytes(32).toString("base64url");
  const renamed = found(await manager.byId.rename(session.id, newId, { update: (data) => changed(data, change) }));
  return {
    session: renamed,
    stored: throughJson(changed(stored, change)),
    version: renamed.version,
    handles: [renamed],
  };
}

async function update(state: State, { handle, change }: Turn): Promise<State> {
  expect(await handle.update((data) => changed(data, change))).toBe(true);
  return { ...state, stored: throughJson(changed(state.stored, change)), version: handle.version };
}

async function save(state: State, { handle, change }: Turn, onConflict: "merge" | "overwrite"): Promise<State> {
  const base = handle.data;
  const data = changed(base, change);
  const replaces = onConflict === "overwrite" || handle.version === state.version;
  const status = await handle.save(data, { onConflict });
  if (isSame(base, data)) {
    expect(status).toBe("unchanged");
    return state;
  }
  expect(status).toBe("saved");
  return {
    ...state,
    stored: throughJson(replaces ? data : merged(state.stored, base, data)),
    version: handle.version,
  };
}

const actions = {
  read,
  rename,
  update,
  save: (state: State, turn: Turn) => save(state, turn, "merge"),
  overwrite: (state: State, turn: Turn) => save(state, turn, "overwrite"),
};

const codec = encryptedCodec({ keys: [{ id: "k", secret: randomBytes(32) }] });

test.each<[string, Partial<SessionManagerOptions>, number]>([
  ["plain JSON", {}, 200],
  ["a schema", { schema: identity }, 50],
  ["a schema version", { schemaVersion: 2, upgrade: (data) => data as Data }, 50],
  ["encryption", { codec }, 50],
])(
  "property: with %s, what is stored and what is read is what a model of nothing but JSON has",
  async (_name, options, numRuns) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
        const store = new MemoryStore();
        const open = () => new SessionManager({ store, sweep: false, ...options });
        const managers = [open(), open()] as const;
        const { session } = await managers[0].create({ data: {}, metadata: { ip: "::1" } });
        let state: State = { session, stored: {}, version: session.version, handles: [session] };
        for (const { action, manager, handle, change } of steps) {
          state = await actions[action](state, {
            manager: managers[manager === 0 ? 0 : 1],
            handle: state.handles[handle % state.handles.length] ?? state.session,
            change,
          });
          // The third manager has read nothing before.
          for (const reader of [...managers, open()]) {
            const read = await reader.byId.get(state.session.id, { touch: false });
            expect(JSON.stringify(read?.data)).toBe(JSON.stringify(state.stored));
            expect(read?.metadata).toEqual({ ip: "::1" });
          }
        }
      }),
      { numRuns },
    );
  },
);
