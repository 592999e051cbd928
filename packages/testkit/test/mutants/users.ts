import type { EndedSession, SessionCounts } from "@sojourn/core";
import type {
  CreateResult,
  DestroyByUserOptions,
  RenameResult,
  ScanOptions,
  SessionChange,
  SessionRecord,
  SweepOptions,
  UpdateOptions,
  UpdateResult,
} from "@sojourn/core/adapter";
import type { ModelSession } from "../../src/index.js";
import { SimulatedStore } from "../simulated.js";
import { gap, type Mutants, note } from "./mutant.js";

/** Returns a store whose list leaves out the ids in `unlisted`. */
class ForgetfulStore extends SimulatedStore {
  protected get unlisted(): Set<string> {
    return note(this.backend, "unlisted", () => new Set());
  }
  override async listByUser(...args: Parameters<SimulatedStore["listByUser"]>): Promise<SessionRecord[]> {
    const listed = await super.listByUser(...args);
    return listed.filter(({ id }) => !this.unlisted.has(id));
  }
}

/** Returns a store whose sweep leaves records behind where `stays` says so, and does not report them again. */
function leaking(stays: (session: ModelSession, living: readonly ModelSession[]) => boolean): typeof SimulatedStore {
  return class extends SimulatedStore {
    override async sweep(options: SweepOptions): Promise<EndedSession[]> {
      const all = [...this.backend.sessions.values()];
      const living = all.filter((session) => this.isLive(session));
      const left = all.filter((session) => !this.isLive(session) && stays(session, living));
      const swept = await super.sweep(options);
      for (const { id } of left) this.backend.leftovers.add(id);
      return swept;
    }
  };
}

export const userMutants: Mutants = {
  "list/exactly-the-users-sessions": {
    breaks: "the list begins with the newest",
    Store: class extends SimulatedStore {
      override async listByUser(...args: Parameters<SimulatedStore["listByUser"]>): Promise<SessionRecord[]> {
        return (await super.listByUser(...args)).sort((a, b) => b.createdAt - a.createdAt);
      }
    },
  },
  "list/membership-ends-with-the-session": {
    breaks: "destroy of one session removes the user's whole list",
    Store: class extends ForgetfulStore {
      override async destroy(id: string): Promise<EndedSession | undefined> {
        const ended = await super.destroy(id);
        if (ended?.userId !== undefined) for (const session of this.liveOf(ended.userId)) this.unlisted.add(session.id);
        return ended;
      }
    },
  },
  "list/anonymous-to-a-to-b-to-anonymous": {
    breaks: "a session never becomes anonymous again",
    Store: class extends SimulatedStore {
      override async update(id: string, change: SessionChange, options?: UpdateOptions): Promise<UpdateResult> {
        const former = this.live(id)?.userId;
        return super.update(
          id,
          change.userId === null && former !== undefined ? { ...change, userId: former } : change,
          options,
        );
      }
    },
  },
  "list/rename-moves-membership": {
    breaks: "a renamed session moves to the end of the list",
    Store: class extends SimulatedStore {
      override async listByUser(...args: Parameters<SimulatedStore["listByUser"]>): Promise<SessionRecord[]> {
        const renamed = note(this.backend, "renamed", () => new Set<string>());
        const listed = await super.listByUser(...args);
        return listed.sort((a, b) => Number(renamed.has(a.id)) - Number(renamed.has(b.id)));
      }
      override async rename(...args: Parameters<SimulatedStore["rename"]>): Promise<RenameResult> {
        note(this.backend, "renamed", () => new Set<string>()).add(args[1]);
        return super.rename(...args);
      }
    },
  },
  "list/no-leak-after-many-expiries": {
    breaks: "expired sessions stay in the index of a user who never comes back",
    Store: leaking(({ userId }, living) => !living.some((other) => other.userId === userId)),
  },
  "list/no-leak-beside-a-living-session": {
    breaks: "expired sessions stay in the index of a user who always has a session",
    Store: leaking(({ userId }, living) => living.some((other) => other.userId === userId)),
  },
  "list/no-leak-after-ends-and-moves": {
    breaks: "rename leaves a marker that never expires",
    Store: class extends SimulatedStore {
      override async rename(...args: Parameters<SimulatedStore["rename"]>): Promise<RenameResult> {
        this.backend.leftovers.add(args[0]);
        return super.rename(...args);
      }
    },
  },
  "race/one-new-user-wins": {
    breaks: "a change of user removes it from the list of the user read before, and adds it to the new one later",
    Store: class extends SimulatedStore {
      get #index(): Map<string, Set<string>> {
        return note(this.backend, "index", () => new Map());
      }
      override async update(id: string, change: SessionChange, options?: UpdateOptions): Promise<UpdateResult> {
        if (typeof change.userId !== "string") return super.update(id, change, options);
        const former = this.live(id)?.userId;
        await gap();
        const result = await super.update(id, change, options);
        if (result.status !== "updated") return result;
        if (former !== undefined) this.#index.get(former)?.delete(id);
        this.#index.set(change.userId, (this.#index.get(change.userId) ?? new Set()).add(id));
        return result;
      }
      override async listByUser(...args: Parameters<SimulatedStore["listByUser"]>): Promise<SessionRecord[]> {
        const listed = await super.listByUser(...args);
        const known = new Set(listed.map(({ id }) => id));
        const indexed = [...(this.#index.get(args[0]) ?? [])].filter((id) => !known.has(id));
        const others = indexed.map((id) => this.live(id)).filter((session) => session !== undefined);
        // Only a session that still belongs to the user counts, as in a list that verifies records.
        return [
          ...listed,
          ...this.readAll(
            others.filter(({ version }) => version > 3),
            undefined,
          ),
        ];
      }
    },
  },
  "count/sessions-and-users": {
    breaks: "count takes sessions for users",
    Store: class extends SimulatedStore {
      override async count(): Promise<SessionCounts> {
        const counts = await super.count();
        return { ...counts, users: counts.sessionsWithUser };
      }
    },
  },
  "scan/sees-everything-alive": {
    breaks: "scan pages by offset, and misses what moves up when something is removed",
    Store: class extends SimulatedStore {
      override async *scan({ batchSize = 500 }: ScanOptions = {}): AsyncIterable<SessionRecord> {
        this.assertOpen();
        for (let offset = 0; ; offset += batchSize) {
          const batch = [...this.backend.sessions.values()].slice(offset, offset + batchSize);
          if (batch.length === 0) return;
          yield* this.readAll(
            batch.filter((session) => this.isLive(session)),
            undefined,
          );
        }
      }
    },
  },
  "scan/can-be-left-early": {
    breaks: "a scan that is left early leaves its cursor to the next one",
    Store: class extends SimulatedStore {
      readonly #seen = new Set<string>();
      override async *scan(options?: ScanOptions): AsyncIterable<SessionRecord> {
        for await (const record of super.scan(options)) {
          if (this.#seen.has(record.id)) continue;
          this.#seen.add(record.id);
          yield record;
        }
        this.#seen.clear();
      }
    },
  },
  "scan/says-that-it-cannot": {
    breaks: "a scan that is not possible finds nothing",
    kind: "native",
    Store: class extends SimulatedStore {
      override async *scan(): AsyncIterable<SessionRecord> {
        this.assertOpen();
        yield* [];
      }
    },
  },
  "count/says-that-it-cannot": {
    breaks: "a count that is not possible is 0",
    kind: "native",
    Store: class extends SimulatedStore {
      override async count(): Promise<SessionCounts> {
        this.assertOpen();
        return { sessions: 0, sessionsWithUser: 0, users: 0 };
      }
    },
  },
  "destroy-by-user/ends-all-of-one-user": {
    breaks: "destroyByUser ends no more than a page of two",
    Store: class extends SimulatedStore {
      override async destroyByUser(userId: string, { except }: DestroyByUserOptions = {}): Promise<string[]> {
        this.assertOpen();
        const page = this.liveOf(userId)
          .filter(({ id }) => id !== except)
          .slice(0, 2);
        for (const { id } of page) this.backend.sessions.delete(id);
        return page.map(({ id }) => id);
      }
    },
  },
  "destroy-by-user/except-one": {
    breaks: "destroyByUser with except ends nothing if except is not the user's",
    Store: class extends SimulatedStore {
      override async destroyByUser(userId: string, options: DestroyByUserOptions = {}): Promise<string[]> {
        const { except } = options;
        if (except !== undefined && this.live(except)?.userId !== userId) return [];
        return super.destroyByUser(userId, options);
      }
    },
  },
  "destroy-by-user/follows-the-user": {
    breaks: "destroyByUser ends what the user created, not what the user has",
    Store: class extends SimulatedStore {
      override async create(...args: Parameters<SimulatedStore["create"]>): Promise<CreateResult> {
        const [{ id, userId }] = args;
        if (userId !== undefined) note(this.backend, "creators", () => new Map<string, string>()).set(id, userId);
        return super.create(...args);
      }
      override async destroyByUser(userId: string, options?: DestroyByUserOptions): Promise<string[]> {
        const creators = note(this.backend, "creators", () => new Map<string, string>());
        const left = [...creators].filter(([, creator]) => creator === userId).map(([id]) => id);
        const ended = await super.destroyByUser(userId, options);
        const others = left.filter((id) => id !== options?.except && this.live(id) !== undefined);
        for (const id of others) this.backend.sessions.delete(id);
        return [...ended, ...others];
      }
    },
  },
  "race/create-against-destroy-by-user": {
    breaks: "destroyByUser reads the list, and empties it later",
    Store: class extends ForgetfulStore {
      override async destroyByUser(userId: string, options?: DestroyByUserOptions): Promise<string[]> {
        const read = new Set(this.liveOf(userId).map(({ id }) => id));
        await gap();
        for (const { id } of this.liveOf(userId)) if (!read.has(id)) this.unlisted.add(id);
        const kept = this.liveOf(userId).filter(({ id }) => this.unlisted.has(id));
        const ended = await super.destroyByUser(userId, options);
        for (const session of kept) this.write(session);
        return ended.filter((id) => !this.unlisted.has(id));
      }
    },
  },
  "race/rename-against-destroy-by-user": {
    breaks: "destroyByUser reads the ids, and ends them later",
    Store: class extends SimulatedStore {
      override async destroyByUser(userId: string, { except }: DestroyByUserOptions = {}): Promise<string[]> {
        this.assertOpen();
        const read = this.liveOf(userId).map(({ id }) => id);
        await gap();
        return read.filter((id) => id !== except && this.backend.sessions.delete(id));
      }
    },
  },
  "race/writes-against-destroy-by-user": {
    breaks: "an update without a version reads the record, and writes it back later",
    Store: class extends SimulatedStore {
      override async update(id: string, change: SessionChange, options: UpdateOptions = {}): Promise<UpdateResult> {
        const session = this.live(id);
        if (session === undefined || options.expectedVersion !== undefined) return super.update(id, change, options);
        await gap();
        // It holds the user's lock, so a change of user is safe.
        if (change.userId === undefined) this.write(this.live(id) ?? session);
        return super.update(id, change, options);
      }
    },
  },
  "race/login-against-destroy-by-user": {
    breaks: "a login enters the list first and writes its record later, and logging out in between misses it",
    Store: class extends ForgetfulStore {
      get #entered(): Map<string, string> {
        return note(this.backend, "entered", () => new Map());
      }
      override async rename(...args: Parameters<SimulatedStore["rename"]>): Promise<RenameResult> {
        const [, newId, change] = args;
        if (typeof change?.userId !== "string") return super.rename(...args);
        this.#entered.set(newId, change.userId);
        await gap();
        await gap();
        const result = await super.rename(...args);
        if (!this.#entered.delete(newId) && result.status === "renamed") this.unlisted.add(newId);
        return result;
      }
      override async destroyByUser(userId: string, options?: DestroyByUserOptions): Promise<string[]> {
        const ended = await super.destroyByUser(userId, options);
        await gap();
        for (const [id, owner] of this.#entered) if (owner === userId) this.#entered.delete(id);
        return ended;
      }
    },
  },
  "crash/after-every-request": {
    breaks: "a change of user writes the record with one request, and the list with the next",
    Store: class extends ForgetfulStore {
      override async update(id: string, change: SessionChange, options?: UpdateOptions): Promise<UpdateResult> {
        const result = await super.update(id, change, options);
        if (result.status !== "updated" || typeof change.userId !== "string") return result;
        this.unlisted.add(id);
        if (this.step !== undefined) await this.step();
        this.unlisted.delete(id);
        return result;
      }
    },
  },
};
