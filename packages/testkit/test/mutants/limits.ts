import type { SessionLimit } from "@sojourn/core";
import type {
  CreateOptions,
  CreateResult,
  NewSession,
  RenameResult,
  SessionChange,
  UpdateResult,
} from "@sojourn/core/adapter";
import type { ModelSession } from "../../src/index.js";
import { SimulatedStore } from "../simulated.js";
import { gap, type Mutants, note } from "./mutant.js";

type Gain = "create" | "update" | "rename";

/** Returns a store whose `gain` changes its limit by `bend`; the other two ways stay correct. */
function bending(
  gain: Gain,
  bend: (
    limit: SessionLimit,
    store: BendingStore,
    userId: string,
  ) => SessionLimit | undefined | Promise<SessionLimit | undefined>,
): typeof SimulatedStore {
  const bent = async <T extends { limit?: SessionLimit | undefined }>(
    verb: Gain,
    store: BendingStore,
    options: T | undefined,
    userId: string | null | undefined,
  ): Promise<T | undefined> => {
    if (verb !== gain || !isSane(options?.limit) || typeof userId !== "string") return options;
    const limit = await bend(options.limit, store, userId);
    return { ...options, limit };
  };
  return class extends BendingStore {
    override async create(session: NewSession, options?: CreateOptions): Promise<CreateResult> {
      return super.create(session, await bent("create", this, options, session.userId));
    }
    override async update(...args: Parameters<SimulatedStore["update"]>): Promise<UpdateResult> {
      const [id, change, options] = args;
      return super.update(id, change, await bent("update", this, options, change.userId));
    }
    override async rename(...args: Parameters<SimulatedStore["rename"]>): Promise<RenameResult> {
      const [id, newId, change, options] = args;
      return super.rename(id, newId, change, await bent("rename", this, options, change?.userId));
    }
  };
}

class BendingStore extends SimulatedStore {
  sessionsOf(userId: string): number {
    return this.liveOf(userId).length;
  }
}

function isSane(limit: SessionLimit | undefined): limit is SessionLimit {
  return limit !== undefined && Number.isInteger(limit.max) && limit.whenReached !== undefined && limit.max > 0;
}

const perGain = (["create", "update", "rename"] as const).flatMap((gain): [string, Mutants[string]][] => [
  [
    `limit/${gain}-rejects`,
    {
      breaks: `${gain} lets one more in than the limit`,
      Store: bending(gain, (limit) => (limit.whenReached === "reject" ? { ...limit, max: limit.max + 1 } : limit)),
    },
  ],
  [
    `limit/${gain}-evicts-the-oldest`,
    {
      breaks: `${gain} evicts one fewer than it has to`,
      Store: bending(gain, (limit, store, userId) =>
        limit.whenReached === "evictOldest" && store.sessionsOf(userId) > limit.max
          ? { ...limit, max: limit.max + 1 }
          : limit,
      ),
    },
  ],
  [
    `race/limit-${gain}-rejects`,
    {
      breaks: `${gain} counts, and decides later whether to reject`,
      Store: bending(gain, async (limit, store, userId) => {
        if (limit.whenReached !== "reject" || store.sessionsOf(userId) >= limit.max) return limit;
        await gap();
        return undefined;
      }),
    },
  ],
  [
    `race/limit-${gain}-evicts`,
    {
      breaks: `${gain} counts, and decides later whether to evict`,
      Store: bending(gain, async (limit, store, userId) => {
        if (limit.whenReached !== "evictOldest" || store.sessionsOf(userId) >= limit.max) return limit;
        await gap();
        return undefined;
      }),
    },
  ],
]);

export const limitMutants: Mutants = {
  ...Object.fromEntries(perGain),
  "limit/only-whoever-gains": {
    breaks: "a write by the user who has the session needs room as well",
    Store: class extends SimulatedStore {
      protected override makeRoomFor(
        session: ModelSession,
        change: SessionChange,
        limit: SessionLimit | undefined,
      ): string[] | undefined {
        if (change.userId !== session.userId) return super.makeRoomFor(session, change, limit);
        return limit !== undefined && this.liveOf(session.userId ?? "").length > limit.max ? undefined : [];
      }
    },
  },
  "limit/frees-its-place": {
    breaks: "a session that was given away keeps its place",
    Store: class extends SimulatedStore {
      get #kept(): Map<string, number> {
        return note(this.backend, "kept", () => new Map());
      }
      override async update(...args: Parameters<SimulatedStore["update"]>): Promise<UpdateResult> {
        const former = this.live(args[0])?.userId;
        const result = await super.update(...args);
        const isGiven = result.status === "updated" && former !== undefined && result.record.userId === undefined;
        if (isGiven) this.#kept.set(former, (this.#kept.get(former) ?? 0) + 1);
        return result;
      }
      protected override makeRoom(userId: string | undefined, limit: SessionLimit | undefined): string[] | undefined {
        const kept = this.#kept.get(userId ?? "") ?? 0;
        return super.makeRoom(userId, limit && { ...limit, max: limit.max - kept });
      }
    },
  },
  "limit/duplicate-and-conflict-evict-nobody": {
    breaks: "create makes room before it looks for a duplicate",
    Store: class extends SimulatedStore {
      override async create(session: NewSession, options: CreateOptions = {}): Promise<CreateResult> {
        if (this.live(session.id) !== undefined && isSane(options.limit)) this.makeRoom(session.userId, options.limit);
        return super.create(session, options);
      }
    },
  },
  "limit/refuses-what-is-no-limit": {
    breaks: "a limit that makes no sense is none",
    Store: class extends SimulatedStore {
      override async create(session: NewSession, options: CreateOptions = {}): Promise<CreateResult> {
        const { limit, ...rest } = options;
        return super.create(session, isSane(limit) ? options : rest);
      }
    },
  },
};
