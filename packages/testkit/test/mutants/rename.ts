import type { EndedSession } from "@sojourn/core";
import type {
  CreateOptions,
  CreateResult,
  NewSession,
  RenameResult,
  SessionRecord,
  TouchOptions,
  UpdateResult,
} from "@sojourn/core/adapter";
import { SimulatedStore } from "../simulated.js";
import { gap, type Mutants, note } from "./mutant.js";

type RenameArguments = Parameters<SimulatedStore["rename"]>;

export const renameMutants: Mutants = {
  "rename/moves-everything": {
    breaks: "an id that was renamed from is in use for ever",
    Store: class extends SimulatedStore {
      override async rename(...args: RenameArguments): Promise<RenameResult> {
        const result = await super.rename(...args);
        if (result.status === "renamed") note(this.backend, "former", () => new Set<string>()).add(args[0]);
        return result;
      }
      override async create(session: NewSession, options?: CreateOptions): Promise<CreateResult> {
        const isFormer = note(this.backend, "former", () => new Set<string>()).has(session.id);
        return isFormer ? { status: "duplicate" } : super.create(session, options);
      }
    },
  },
  "rename/with-a-change": {
    breaks: "a rename with idleMs is no activity",
    Store: class extends SimulatedStore {
      override async rename(...args: RenameArguments): Promise<RenameResult> {
        const lastActiveAt = this.live(args[0])?.lastActiveAt;
        const result = await super.rename(...args);
        if (result.status !== "renamed" || lastActiveAt === undefined) return result;
        return { ...result, record: { ...result.record, lastActiveAt } };
      }
    },
  },
  "rename/never-beyond-the-end": {
    breaks: "a rename with idleMs forgets the absolute deadline",
    Store: class extends SimulatedStore {
      override async rename(...args: RenameArguments): Promise<RenameResult> {
        const result = await super.rename(...args);
        const session = this.live(args[1]);
        const idleMs = args[2]?.idleMs;
        if (result.status !== "renamed" || session === undefined || idleMs === undefined) return result;
        const expiresAt = this.backend.now() + idleMs;
        this.write({ ...session, expiresAt });
        return { ...result, record: { ...result.record, expiresAt } };
      }
    },
  },
  "rename/onto-a-live-id": {
    breaks: "a rename that finds its new id in use has changed the user already",
    Store: class extends SimulatedStore {
      override async rename(...args: RenameArguments): Promise<RenameResult> {
        const result = await super.rename(...args);
        const session = this.live(args[0]);
        const userId = args[2]?.userId;
        if (result.status === "duplicate" && args[0] !== args[1] && session && userId && args[3] === undefined) {
          this.write({ ...session, userId });
        }
        return result;
      }
    },
  },
  "rename/onto-itself": {
    breaks: "a rename to the same id is an update",
    Store: class extends SimulatedStore {
      override async rename(...args: RenameArguments): Promise<RenameResult> {
        const [id, newId, change = {}] = args;
        if (id !== newId) return super.rename(...args);
        const result = await super.update(id, change);
        return result.status === "updated" ? { ...result, status: "renamed" } : result;
      }
    },
  },
  "rename/conflict-shows-the-winner": {
    breaks: "a rename that lost its race shows the record as it was expected",
    Store: class extends SimulatedStore {
      override async rename(...args: RenameArguments): Promise<RenameResult> {
        const result = await super.rename(...args);
        if (result.status !== "conflict") return result;
        return { ...result, current: { ...result.current, version: args[3]?.expectedVersion ?? 1 } };
      }
    },
  },
  "race/one-rename-wins": {
    breaks: "rename reads the session, and copies it later",
    Store: class extends SimulatedStore {
      override async rename(...args: RenameArguments): Promise<RenameResult> {
        const before = this.live(args[0]);
        await gap();
        // It checks that the user still has a session, so logging out is safe.
        const userId = before?.userId;
        const isKnown = userId !== undefined && this.liveOf(userId).length > 0;
        const isGone = this.live(args[0]) === undefined;
        const wasRenamed = note(this.backend, "renamed", () => new Set<string>()).has(args[0]);
        if (before !== undefined && isKnown && isGone && wasRenamed) this.write(before);
        const result = await super.rename(...args);
        if (result.status === "renamed") note(this.backend, "renamed", () => new Set<string>()).add(args[0]);
        return result;
      }
    },
  },
  "race/one-newcomer-wins": {
    breaks: "rename looks whether the new id is free, and takes it later",
    Store: class extends SimulatedStore {
      override async rename(...args: RenameArguments): Promise<RenameResult> {
        const isFree = this.live(args[1]) === undefined;
        await gap();
        if (isFree && this.live(args[0]) !== undefined) this.backend.sessions.delete(args[1]);
        return super.rename(...args);
      }
    },
  },
  "race/always-readable-under-an-id": {
    breaks: "the old id is gone before the new one can be read",
    Store: class extends SimulatedStore {
      get #hidden(): Set<string> {
        return note(this.backend, "hidden", () => new Set());
      }
      override async rename(...args: RenameArguments): Promise<RenameResult> {
        this.#hidden.add(args[0]);
        await gap();
        this.#hidden.delete(args[0]);
        return super.rename(...args);
      }
      override async get(id: string): Promise<SessionRecord | undefined> {
        return this.#hidden.has(id) ? undefined : super.get(id);
      }
    },
  },
  "race/rename-against-writes": {
    breaks: "rename copies the session as it read it before",
    Store: class extends SimulatedStore {
      override async rename(...args: RenameArguments): Promise<RenameResult> {
        const before = this.live(args[0]);
        await gap();
        if (before !== undefined && this.live(args[0]) !== undefined) this.write(before);
        return super.rename(...args);
      }
    },
  },
  "race/rename-against-destroy": {
    breaks: "destroy reads the session, and removes it later",
    Store: class extends SimulatedStore {
      override async destroy(id: string): Promise<EndedSession | undefined> {
        const before = this.live(id);
        await gap();
        await super.destroy(id);
        return before && { id, userId: before.userId };
      }
    },
  },
  "model/random-walk": {
    breaks: "a session that has been written three times forgets its user in the next rename",
    Store: class extends SimulatedStore {
      override async rename(...args: RenameArguments): Promise<RenameResult> {
        const session = this.live(args[0]);
        const result = await super.rename(...args);
        const renamed = this.live(args[1]);
        if (result.status !== "renamed" || session === undefined || renamed === undefined || session.version < 3)
          return result;
        if (args[2]?.userId !== undefined) return result;
        this.write({ ...renamed, userId: undefined });
        return { ...result, record: this.read({ ...renamed, userId: undefined }) };
      }
    },
  },
  "model/racing-pairs": {
    breaks: "destroy answers what another destroy has just ended",
    Store: class extends SimulatedStore {
      override async destroy(id: string): Promise<EndedSession | undefined> {
        const before = this.live(id);
        await gap();
        const ended = await super.destroy(id);
        const destroyed = note(this.backend, "destroyed", () => new Set<string>());
        if (ended !== undefined) destroyed.add(id);
        return ended ?? (destroyed.has(id) && before ? { id, userId: before.userId } : undefined);
      }
    },
  },
  "model/racing-triples": {
    breaks: "destroy finds nothing while the session is touched and updated at the same time",
    Store: class extends SimulatedStore {
      get #busy(): Set<string> {
        return note(this.backend, "busy", () => new Set());
      }
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        return this.#during("touch", () => super.touch(id, options));
      }
      override async update(...args: Parameters<SimulatedStore["update"]>): Promise<UpdateResult> {
        return this.#during("update", () => super.update(...args));
      }
      override async destroy(id: string): Promise<EndedSession | undefined> {
        const isBusy = this.#busy.size === 2;
        return isBusy ? undefined : super.destroy(id);
      }
      async #during<T>(what: string, work: () => Promise<T>): Promise<T> {
        this.#busy.add(what);
        const result = await work();
        await gap();
        this.#busy.delete(what);
        return result;
      }
    },
  },
  "model/interleaved-pairs": {
    breaks: "touch reads with one request, and writes with the next",
    Store: class extends SimulatedStore {
      override async touch(id: string, options: TouchOptions): Promise<boolean> {
        const before = this.live(id);
        if (this.step !== undefined) await this.step();
        if (before !== undefined) this.write(before);
        return super.touch(id, options);
      }
    },
  },
  "model/interleaved-triples": {
    breaks: "destroy reads with one request, and with the next removes whatever has the id by then",
    Store: class extends SimulatedStore {
      override async destroy(id: string): Promise<EndedSession | undefined> {
        const before = this.live(id);
        if (this.step !== undefined) await this.step();
        const current = this.live(id);
        const isAnother = before !== undefined && current?.version === 1 && current.payload !== before.payload;
        const ended = await super.destroy(id);
        return isAnother ? { id, userId: before.userId } : ended;
      }
    },
  },
};
