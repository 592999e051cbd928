import fc from "fast-check";
import { expect, test } from "vitest";
import { Sessions } from "../src/sessions.js";
import { none, Table } from "../src/table.js";

interface Expected {
  slot: number;
  userId: string | undefined;
  expiresAt: number;
  readonly endsAt: number;
}

/** The model of `Sessions`: a Map in the order of last use, which finds everything by walking it. */
class Model {
  readonly live = new Map<string, Expected>();
  now = 1_800_000_000_000;

  use(id: string, session: Expected): void {
    this.live.delete(id);
    this.live.set(id, session);
  }

  expired(): string[] {
    return [...this.live].filter(([, { expiresAt }]) => expiresAt <= this.now).map(([id]) => id);
  }

  users(): string[] {
    const living = [...this.live.values()].filter(({ expiresAt }) => expiresAt > this.now);
    return living.map(({ userId }) => userId).filter((userId) => userId !== undefined);
  }
}

type Step = (sessions: Sessions, model: Model) => void;

const duration = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 100_000 }), fc.nat(2 ** 36));
const anId = fc.constantFrom("a", "b", "c", "d", "e", "f");
const aUser = fc.constantFrom(undefined, "u", "v");

/** Returns a step on the session of that id, skipped when there is no live one. */
const onLive = (id: string, act: (sessions: Sessions, model: Model, session: Expected) => void): Step => {
  return (sessions, model) => {
    const session = model.live.get(id);
    const isLive = session !== undefined && session.expiresAt > model.now;
    expect(sessions.find(id, model.now)).toBe(isLive ? session.slot : none);
    if (isLive) act(sessions, model, session);
  };
};

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(anId, aUser, duration, duration).map(([id, userId, idle, absolute]): Step => {
    return (sessions, model) => {
      if (sessions.find(id, model.now) !== none) return;
      const [idleMs, absoluteMs] = [idle + 1, absolute + 1];
      const slot = sessions.add({ id, userId, payload: "p", idleMs, absoluteMs }, model.now);
      const expiresAt = model.now + Math.min(idleMs, absoluteMs);
      model.use(id, { slot, userId, expiresAt, endsAt: model.now + absoluteMs });
    };
  }),
  anId.map((id) =>
    onLive(id, (sessions, model, { slot, userId }) => {
      expect(sessions.remove(slot)).toEqual({ id, userId });
      model.live.delete(id);
    }),
  ),
  anId.map((id) =>
    onLive(id, (sessions, model, session) => {
      sessions.use(session.slot);
      model.use(id, session);
    }),
  ),
  fc.tuple(anId, duration, fc.boolean()).map(([id, idle, mayShorten]) =>
    onLive(id, (sessions, { now }, session) => {
      const deadline = Math.min(now + idle + 1, session.endsAt);
      session.expiresAt = mayShorten ? deadline : Math.max(deadline, session.expiresAt);
      if (mayShorten) sessions.restart(session.slot, idle + 1, now);
      else sessions.prolong(session.slot, idle + 1, now);
    }),
  ),
  fc.tuple(anId, aUser).map(([id, userId]) =>
    onLive(id, (sessions, _, session) => {
      session.userId = userId;
      sessions.setUser(session.slot, userId);
    }),
  ),
  fc.tuple(anId, fc.string()).map(([id, payload]) =>
    onLive(id, (sessions, { now }, { slot }) => {
      sessions.setPayload(slot, payload);
      expect(sessions.record(slot, now).payload).toBe(payload);
    }),
  ),
  fc.tuple(anId, anId).map(([id, newId]) =>
    onLive(id, (sessions, model, session) => {
      if (sessions.find(newId, model.now) !== none) return;
      sessions.setId(session.slot, newId);
      // The place in the order of use stays: the Map is built again with the other id.
      const others = [...model.live].filter(([other]) => other !== newId);
      model.live.clear();
      for (const [other, value] of others) model.live.set(other === id ? newId : other, value);
    }),
  ),
  duration.map((ms): Step => {
    return (_, model) => {
      model.now += ms;
    };
  }),
  fc.integer({ min: 1, max: 3 }).map((steps): Step => {
    return (sessions, { now }) => sessions.findExpired(2, now, { steps });
  }),
  fc.constant<Step>((sessions, model) => {
    sessions.findExpired(Number.POSITIVE_INFINITY, model.now, { steps: 1_000 });
    expect(sessions.expired).toBe(model.expired().length);
    const users = model.users();
    expect(sessions.users.sessions).toBe(users.length);
    expect(sessions.users.users).toBe(new Set(users).size);
  }),
  fc.integer({ min: 1, max: 3 }).map((limit): Step => {
    return (sessions, model) => {
      sessions.findExpired(limit, model.now, { steps: 1_000 });
      const removed = sessions.removeExpired(limit).map(({ id }) => id);
      const expired = model.expired();
      expect(removed).toHaveLength(Math.min(limit, expired.length));
      expect(expired).toEqual(expect.arrayContaining(removed));
      for (const id of removed) model.live.delete(id);
    };
  }),
);

test("ids, users, deadlines, order of use and bytes agree after every step, and no entry is left in the end", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const model = new Model();
      const sessions = new Sessions(model.now);
      for (const act of steps) {
        act(sessions, model);
        expect(sessions.size).toBe(model.live.size);
        const [first] = model.live.values();
        expect(sessions.leastRecent).toBe(first?.slot ?? none);
        for (const user of ["u", "v"]) {
          const theirs = [...model.live.values()].filter((s) => s.userId === user && s.expiresAt > model.now);
          expect(sessions.liveOf(user, model.now).sort()).toEqual(theirs.map(({ slot }) => slot).sort());
        }
      }
      // One half goes by eviction, the other by expiry.
      for (let n = model.live.size; n > 1; n -= 2) sessions.remove(sessions.leastRecent);
      sessions.findExpired(Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER, { steps: 1_000 });
      expect(sessions.users).toMatchObject({ users: 0, sessions: 0 });
      sessions.removeExpired(1_000);
      expect(sessions).toMatchObject({ size: 0, bytes: 0, expired: 0, leastRecent: none });
    }),
    { numRuns: 1_000 },
  );
});

test("ten thousand users who come and go leave no entries", () => {
  const sessions = new Sessions(0);
  for (let n = 0; n < 10_000; n += 1) {
    sessions.add({ id: `${n}`, userId: `user ${n}`, payload: "p", idleMs: 10, absoluteMs: 10 }, n);
    sessions.findExpired(1, n, { steps: 100 });
    sessions.removeExpired(1);
  }
  expect(sessions.size).toBeLessThanOrEqual(10);
  expect(sessions.users.users).toBeLessThanOrEqual(10);
  expect(sessions.endOfSlots).toBeLessThanOrEqual(1_024);
});

test("a touch to a later deadline is one comparison: the wheel examines the session only at its old deadline", () => {
  const sessions = new Sessions(0);
  const slot = sessions.add({ id: "a", userId: undefined, payload: "", idleMs: 100, absoluteMs: 1_000_000 }, 0);
  const budget = { steps: 100 };
  for (let now = 1; now < 96; now += 1) {
    sessions.prolong(slot, 100, now);
    sessions.findExpired(1, now, budget);
  }
  expect(budget.steps).toBe(100);
  sessions.findExpired(1, 100, budget);
  expect(budget.steps).toBe(99);
  expect(sessions.find("a", 194)).toBe(slot);
});

test("a table releases its pages, and uses free slots before it grows", () => {
  const table = new Table();
  const slots = Array.from({ length: 5_000 }, () => {
    const slot = table.allocate();
    table.setText(slot, 0, "id");
    return slot;
  });
  expect(new Set(slots).size).toBe(5_000);
  expect(table.pages).toBe(5);
  for (const slot of slots.slice(0, 2_048)) table.free(slot);
  expect(table.pages).toBe(3);
  expect(slots.filter((slot) => table.isUsed(slot))).toEqual(slots.slice(2_048));
  const { end } = table;
  for (let n = 0; n < 2_048; n += 1) table.setText(table.allocate(), 0, "id");
  expect(table.end).toBe(end);
  for (let slot = 0; slot < end; slot += 1) if (table.isUsed(slot)) table.free(slot);
  expect(table.pages).toBe(0);
});
