import type {
  CreateOptions,
  CreateResult,
  NewSession,
  ScanOptions,
  SessionChange,
  SessionRecord,
  TouchOptions,
  UpdateOptions,
  UpdateResult,
} from "@sojourn/core/adapter";
import type { ModelSession } from "../../src/index.js";
import { SimulatedStore } from "../simulated.js";
import { gap, type Mutants, note } from "./mutant.js";

export const writeMutants: Mutants = {
  "update/answers-the-record": {
    breaks: "update answers the record as it was before the write",
    Store: class extends SimulatedStore {
      override async update(id: string, change: SessionChange, options?: UpdateOptions): Promise<UpdateResult> {
        const before = this.live(id);
        const result = await super.update(id, change, options);
        return result.status === "updated" && before !== undefined ? { ...result, record: this.read(before) } : result;
      }
    },
  },
  "version/counts-writes": {
    breaks: "a change of user does not count as a write",
    Store: class extends SimulatedStore {
      protected override changed(session: ModelSession, change: SessionChange): ModelSession {
        const changed = super.changed(session, change);
        return change.payload === undefined ? { ...changed, version: session.version } : changed;
      }
    },
  },
  "version/touch-leaves-it": {
    breaks: "touch counts as a write",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        const touched = await super.touch(id, options);
        const session = this.live(id);
        if (session !== undefined) this.write({ ...session, version: session.version + 1 });
        return touched;
      }
    },
  },
  "update/expected-version-wins": {
    breaks: "an expected version is compared with the one after it",
    Store: class extends SimulatedStore {
      override async update(id: string, change: SessionChange, options?: UpdateOptions): Promise<UpdateResult> {
        const expectedVersion = options?.expectedVersion;
        return super.update(
          id,
          change,
          expectedVersion === undefined ? options : { ...options, expectedVersion: expectedVersion + 1 },
        );
      }
    },
  },
  "update/conflict-shows-the-winner": {
    breaks: "an update that loses its race moves the deadline nevertheless",
    Store: class extends SimulatedStore {
      override async update(id: string, change: SessionChange, options?: UpdateOptions): Promise<UpdateResult> {
        const result = await super.update(id, change, options);
        const session = this.live(id);
        if (result.status === "conflict" && session !== undefined && change.idleMs !== undefined) {
          this.write({ ...session, expiresAt: this.backend.now() + change.idleMs });
        }
        return result;
      }
    },
  },
  "update/touch-is-no-conflict": {
    breaks: "a conflict is judged by the backend's own token, which a touch changes",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        note(this.backend, "touched", () => new Set<string>()).add(id);
        return super.touch(id, options);
      }
      override async update(id: string, change: SessionChange, options?: UpdateOptions): Promise<UpdateResult> {
        const session = this.live(id);
        const touched = note(this.backend, "touched", () => new Set<string>()).delete(id);
        if (touched && session !== undefined && options?.expectedVersion !== undefined) {
          return { status: "conflict", current: this.read(session) };
        }
        return super.update(id, change, options);
      }
    },
  },
  "update/user-change-is-a-write": {
    breaks: "a conflict is seen only if the payload was written in between",
    Store: class extends SimulatedStore {
      override async update(id: string, change: SessionChange, options: UpdateOptions = {}): Promise<UpdateResult> {
        const lastPayload = note(this.backend, "payloads", () => new Map<string, number>());
        const { expectedVersion, ...rest } = options;
        const sawPayload = expectedVersion !== undefined && expectedVersion >= (lastPayload.get(id) ?? 1);
        const isSane = expectedVersion !== undefined && expectedVersion <= (this.live(id)?.version ?? 0);
        const result = await super.update(id, change, sawPayload && isSane ? rest : options);
        if (result.status === "updated" && change.payload !== undefined) lastPayload.set(id, result.record.version);
        return result;
      }
    },
  },
  "update/omitted-fields-stay": {
    breaks: "a change of user alone empties the payload",
    Store: class extends SimulatedStore {
      protected override changed(session: ModelSession, change: SessionChange): ModelSession {
        const changed = super.changed(session, change);
        return change.userId !== undefined && change.payload === undefined ? { ...changed, payload: "" } : changed;
      }
    },
  },
  "update/empty-change": {
    breaks: "an empty change counts as a write",
    Store: class extends SimulatedStore {
      override async update(id: string, change: SessionChange, options?: UpdateOptions): Promise<UpdateResult> {
        const payload = this.live(id)?.payload;
        const isEmpty = Object.keys(change).length === 0 && payload !== undefined;
        return super.update(id, isEmpty ? { payload } : change, options);
      }
    },
  },
  "race/one-writer-wins": {
    breaks: "update compares the version, and writes later",
    Store: class extends SimulatedStore {
      override async update(id: string, change: SessionChange, options: UpdateOptions = {}): Promise<UpdateResult> {
        const session = this.live(id);
        const { expectedVersion, ...rest } = options;
        if (expectedVersion !== session?.version) return super.update(id, change, options);
        await gap();
        return super.update(id, change, rest);
      }
    },
  },
  "race/no-increment-is-lost": {
    breaks: "touch reads the record and writes it back later",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        const session = this.live(id);
        await gap();
        if (session !== undefined && this.live(id) !== undefined) this.write(session);
        return super.touch(id, options);
      }
    },
  },
  "race/one-creator-wins": {
    breaks: "create looks for a duplicate, and writes later",
    Store: class extends SimulatedStore {
      override async create(session: NewSession, options?: CreateOptions): Promise<CreateResult> {
        const isFree = this.live(session.id) === undefined;
        await gap();
        if (isFree) this.backend.sessions.delete(session.id);
        return super.create(session, options);
      }
    },
  },
  "calls/arguments-are-not-changed": {
    breaks: "create fills in what it was given",
    Store: class extends SimulatedStore {
      override async create(session: NewSession, options?: CreateOptions): Promise<CreateResult> {
        return super.create(Object.assign(session, { userId: session.userId }), options);
      }
    },
  },
  "calls/results-are-copies": {
    breaks: "get hands out the stored object itself",
    Store: class extends SimulatedStore {
      override async get(id: string): Promise<SessionRecord | undefined> {
        const read = await super.get(id);
        const stored = this.live(id);
        // The fault: changing the returned record changes the stored one.
        return read && stored && (Object.assign(stored, { now: read.now }) as SessionRecord);
      }
    },
  },
  "calls/bad-arguments-are-refused": {
    breaks: "scan takes a batch size that is none for its default",
    Store: class extends SimulatedStore {
      override scan({ batchSize = 0, ...options }: ScanOptions = {}): AsyncIterable<SessionRecord> {
        return super.scan(batchSize > 0 ? { ...options, batchSize } : options);
      }
    },
  },
  "calls/round-trips": {
    breaks: "touch reads before it writes",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        return (await this.get(id)) !== undefined && super.touch(id, options);
      }
    },
  },
};
