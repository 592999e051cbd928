import type { EndedSession, SessionCounts, SessionLimit } from "@sojourn/core";
import type {
  CreateOptions,
  CreateResult,
  NewSession,
  RenameResult,
  SessionChange,
  SessionRecord,
  SweepOptions,
  TouchOptions,
} from "@sojourn/core/adapter";
import { day, hour } from "../../src/case.js";
import type { ModelSession } from "../../src/index.js";
import { SimulatedStore } from "../simulated.js";
import { gap, type Mutants, note } from "./mutant.js";

/** Judges lifetimes between two bounds, in milliseconds, by `isLive`. */
function misjudging(from: number, to: number, isLive: (age: number) => boolean): typeof SimulatedStore {
  return class extends SimulatedStore {
    protected override isLive(session: ModelSession): boolean {
      const life = session.expiresAt - session.lastActiveAt;
      if (life < from || life > to) return super.isLive(session);
      return isLive(this.backend.now() - session.lastActiveAt);
    }
  };
}

export const expiryMutants: Mutants = {
  "expiry/invisible-to-get-and-lists": {
    breaks: "the list shows what has expired, if there is something alive beside it",
    Store: class extends SimulatedStore {
      override async listByUser(...args: Parameters<SimulatedStore["listByUser"]>): Promise<SessionRecord[]> {
        const listed = await super.listByUser(...args);
        const theirs = [...this.backend.sessions.values()].filter(({ userId }) => userId === args[0]);
        return listed.length === 0 ? listed : this.readAll(theirs, undefined);
      }
    },
  },
  "expiry/invisible-to-destroy": {
    breaks: "destroyByUser answers what had expired as well",
    Store: class extends SimulatedStore {
      override async destroyByUser(...args: Parameters<SimulatedStore["destroyByUser"]>): Promise<string[]> {
        const theirs = [...this.backend.sessions.values()].filter(({ userId }) => userId === args[0]);
        const expired = theirs.filter((session) => !this.isLive(session)).map(({ id }) => id);
        return [...expired, ...(await super.destroyByUser(...args))];
      }
    },
  },
  "expiry/invisible-to-scan": {
    breaks: "scan shows what has expired",
    Store: class extends SimulatedStore {
      override async *scan(): AsyncIterable<SessionRecord> {
        this.assertOpen();
        yield* this.readAll([...this.backend.sessions.values()], undefined);
      }
    },
  },
  "expiry/invisible-to-count": {
    breaks: "count counts what has expired",
    Store: class extends SimulatedStore {
      override async count(): Promise<SessionCounts> {
        return { ...(await super.count()), sessions: this.backend.sessions.size };
      }
    },
  },
  "expiry/invisible-to-the-limit": {
    breaks: "the limit counts what has expired",
    Store: class extends SimulatedStore {
      protected override makeRoom(userId: string | undefined, limit: SessionLimit | undefined): string[] | undefined {
        const expired = [...this.backend.sessions.values()].filter(
          (session) => session.userId === userId && !this.isLive(session),
        ).length;
        return super.makeRoom(userId, limit && { ...limit, max: limit.max - expired });
      }
    },
  },
  "expiry/id-is-free-again": {
    breaks: "create under an expired id goes on counting its version",
    Store: class extends SimulatedStore {
      override async create(session: NewSession, options?: CreateOptions): Promise<CreateResult> {
        const version = (this.backend.sessions.get(session.id)?.version ?? 0) + 1;
        const result = await super.create(session, options);
        const created = this.live(session.id);
        if (result.status !== "created" || created === undefined) return result;
        this.write({ ...created, version });
        return { ...result, record: { ...result.record, version } };
      }
    },
  },
  "expiry/rename-onto-an-expired-id": {
    breaks: "an id that has expired and was not swept is in use for rename",
    Store: class extends SimulatedStore {
      override async rename(...args: Parameters<SimulatedStore["rename"]>): Promise<RenameResult> {
        const [id, newId] = args;
        const isTaken = this.live(id) !== undefined && this.backend.sessions.has(newId);
        return isTaken ? { status: "duplicate" } : super.rename(...args);
      }
    },
  },
  "expiry/999-ms": {
    breaks: "999 ms are rounded down to 0 s, which is for ever",
    Store: misjudging(900, 999, () => true),
  },
  "expiry/1500-ms": {
    breaks: "1,500 ms are rounded down to 1 s",
    Store: misjudging(1_500, 1_500, (age) => age < 1_000),
  },
  "expiry/1-ms": {
    breaks: "1 ms is too short to be created",
    Store: class extends SimulatedStore {
      override async create(session: NewSession, options?: CreateOptions): Promise<CreateResult> {
        const result = await super.create(session, options);
        return session.idleMs === 1 ? { status: "duplicate" } : result;
      }
    },
  },
  "expiry/31-days": {
    breaks: "more than 30 days are taken for a point in time, long ago",
    Store: misjudging(31 * day, 31 * day, () => false),
  },
  "expiry/400-days": {
    breaks: "more than a year is more than the backend can hold, and ends at once",
    Store: misjudging(366 * day, 1_000 * day, () => false),
  },
  "expiry/absolute-deadline-caps": {
    breaks: "update with idleMs forgets the absolute deadline",
    Store: class extends SimulatedStore {
      protected override changed(session: ModelSession, change: SessionChange): ModelSession {
        const changed = super.changed(session, change);
        return change.idleMs === undefined ? changed : { ...changed, expiresAt: this.backend.now() + change.idleMs };
      }
    },
  },
  "expiry/update-moves-the-deadline": {
    breaks: "update with idleMs never brings the deadline nearer, as touch",
    Store: class extends SimulatedStore {
      protected override changed(session: ModelSession, change: SessionChange): ModelSession {
        const changed = super.changed(session, change);
        return { ...changed, expiresAt: Math.max(changed.expiresAt, session.expiresAt) };
      }
    },
  },
  "expiry/refuses-what-is-no-duration": {
    breaks: "a duration that is NaN becomes the default",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        return super.touch(id, { ...options, idleMs: options.idleMs || hour });
      }
    },
  },
  "sweep/reports-each-once": {
    breaks: "sweep knows no limit",
    Store: class extends SimulatedStore {
      override async sweep(): Promise<EndedSession[]> {
        return super.sweep({ limit: 1_000_000 });
      }
    },
  },
  "sweep/nothing-where-the-backend-expires": {
    breaks: "sweep reports what the backend expired by itself",
    kind: "native",
    Store: class extends SimulatedStore {
      override async sweep(options: SweepOptions): Promise<EndedSession[]> {
        await super.sweep(options);
        const expired = [...this.backend.sessions.values()].filter((session) => !this.isLive(session));
        return expired.map(({ id, userId }) => ({ id, userId }));
      }
    },
  },
  "race/sweeps-report-each-once": {
    breaks: "sweep finds, and removes later",
    Store: class extends SimulatedStore {
      override async sweep({ limit }: SweepOptions): Promise<EndedSession[]> {
        this.assertOpen();
        const expired = [...this.backend.sessions.values()].filter((session) => !this.isLive(session)).slice(0, limit);
        await gap();
        // It removes the records that it found, not their successors.
        for (const session of expired) {
          if (this.backend.sessions.get(session.id) === session) this.backend.sessions.delete(session.id);
        }
        return expired.map(({ id, userId }) => ({ id, userId }));
      }
    },
  },
  "race/sweep-spares-a-new-twin": {
    breaks: "sweep removes what it found by its id, whoever has it in the meantime",
    Store: class extends SimulatedStore {
      override async sweep({ limit }: SweepOptions): Promise<EndedSession[]> {
        this.assertOpen();
        const expired = [...this.backend.sessions.values()].filter((session) => !this.isLive(session)).slice(0, limit);
        await gap();
        const removed = expired.filter(({ id }) => this.backend.sessions.delete(id));
        return removed.map(({ id, userId }) => ({ id, userId }));
      }
    },
  },
  "race/touch-at-the-deadline": {
    breaks: "touch judges expiry with a tolerance, get does not",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        const session = this.backend.sessions.get(id);
        const overdue = session === undefined ? 0 : this.backend.now() - session.expiresAt;
        return overdue > 0 && overdue < 10 ? true : super.touch(id, options);
      }
    },
  },
  "native-expiry/set-on-every-entry": {
    breaks: "touch moves the deadline in the record, and not the backend's own",
    kind: "native",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        const native = this.backend.nativeDeadlines.get(id);
        const touched = await super.touch(id, options);
        this.backend.nativeDeadlines.set(id, native);
        return touched;
      }
    },
  },
  "native-expiry/long-lives": {
    breaks: "what does not fit into 31 bits of milliseconds has no expiry in the backend",
    kind: "native",
    Store: class extends SimulatedStore {
      protected override write(session: ModelSession): void {
        super.write(session);
        const life = session.expiresAt - this.backend.now();
        if (life > 2 ** 31) this.backend.nativeDeadlines.set(session.id, undefined);
      }
    },
  },
  "touch/moves-the-deadline": {
    breaks: "touch is no activity",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        const before = this.live(id);
        const touched = await super.touch(id, options);
        const session = this.live(id);
        if (session !== undefined && before !== undefined)
          this.write({ ...session, lastActiveAt: before.lastActiveAt });
        return touched;
      }
    },
  },
  "touch/outlives-the-first-deadline": {
    breaks: "touch moves the deadline that is shown, and not the one that is kept",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        const session = this.live(id);
        const kept = note(this.backend, "kept", () => new Map<string, number>());
        if (session !== undefined && options.shorten !== true) kept.set(id, session.expiresAt);
        return super.touch(id, options);
      }
      protected override isLive(session: ModelSession): boolean {
        const kept = note(this.backend, "kept", () => new Map<string, number>()).get(session.id);
        return super.isLive(session) && this.backend.now() < (kept ?? Number.POSITIVE_INFINITY);
      }
    },
  },
  "touch/never-beyond-the-end": {
    breaks: "touch forgets the absolute deadline",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        const touched = await super.touch(id, options);
        const session = this.live(id);
        const expiresAt = this.backend.now() + options.idleMs;
        if (session !== undefined && expiresAt > session.endsAt) this.write({ ...session, expiresAt });
        return touched;
      }
    },
  },
  "touch/never-shortens-unasked": {
    breaks: "touch always sets the deadline",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        return super.touch(id, { ...options, shorten: true });
      }
    },
  },
  "touch/shortens-when-asked": {
    breaks: "touch never brings the deadline nearer, asked or not",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        const { shorten: _, ...rest } = options;
        return super.touch(id, rest);
      }
    },
  },
  "touch/nothing-else-is-activity": {
    breaks: "a read counts as activity",
    Store: class extends SimulatedStore {
      override async get(id: string): Promise<SessionRecord | undefined> {
        const record = await super.get(id);
        const session = this.live(id);
        if (session !== undefined) this.write({ ...session, lastActiveAt: this.backend.now() });
        return record;
      }
    },
  },
  "touch/leaves-payload-and-user": {
    breaks: "touch writes back the payload that this store read last",
    Store: class extends SimulatedStore {
      readonly #read = new Map<string, string>();
      override async get(id: string): Promise<SessionRecord | undefined> {
        const record = await super.get(id);
        if (record !== undefined) this.#read.set(id, record.payload);
        return record;
      }
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        const touched = await super.touch(id, options);
        const session = this.live(id);
        const payload = this.#read.get(id);
        if (session !== undefined && payload !== undefined) this.write({ ...session, payload });
        return touched;
      }
    },
  },
  "race/longest-touch-wins": {
    breaks: "touch compares deadlines, and writes later",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        const before = this.live(id)?.expiresAt ?? 0;
        await gap();
        const session = this.live(id);
        if (session !== undefined) this.write({ ...session, expiresAt: before });
        return super.touch(id, options);
      }
    },
  },
  "race/touch-keeps-a-write": {
    breaks: "update writes back the deadline that it read before",
    Store: class extends SimulatedStore {
      override async update(...args: Parameters<SimulatedStore["update"]>): ReturnType<SimulatedStore["update"]> {
        const before = this.live(args[0])?.expiresAt;
        await gap();
        const result = await super.update(...args);
        const session = this.live(args[0]);
        if (result.status === "updated" && session !== undefined && args[1].idleMs === undefined) {
          this.write({ ...session, expiresAt: before ?? session.expiresAt });
        }
        return result;
      }
    },
  },
  "clock/an-hour-fast": {
    breaks: "deadlines are judged by the clock of the node, if it is fast",
    Store: class extends SimulatedStore {
      protected override isLive(session: ModelSession): boolean {
        return this.backend.now() + Math.max(0, skew()) < session.expiresAt;
      }
    },
  },
  "clock/an-hour-slow": {
    breaks: "deadlines are judged by the clock of the node, if it is slow",
    Store: class extends SimulatedStore {
      protected override isLive(session: ModelSession): boolean {
        return this.backend.now() + Math.min(0, skew()) < session.expiresAt;
      }
    },
  },
};

/** Returns the error of this process's clock, without the drift of the machine during a test run. */
function skew(): number {
  const offset = Date.now() - (performance.timeOrigin + performance.now());
  return Math.abs(offset) < 10 * 60_000 ? 0 : offset;
}
