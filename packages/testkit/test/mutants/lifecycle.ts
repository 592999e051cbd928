import type { EndedSession } from "@sojourn/core";
import type {
  CreateOptions,
  CreateResult,
  NewSession,
  RenameResult,
  SessionChange,
  SessionRecord,
  TouchOptions,
  UpdateOptions,
  UpdateResult,
} from "@sojourn/core/adapter";
import { day, hour } from "../../src/case.js";
import { SimulatedStore } from "../simulated.js";
import { gap, type Mutants, note } from "./mutant.js";

type Verb = "update" | "touch" | "rename";
type Absence = "unknown" | "after-destroy" | "after-destroy-by-user" | "after-expiry" | "after-sweep";

/** Returns a store whose `verb` creates a missing session, if it is missing for the given reason. */
function reviving(verb: Verb, absence: Absence): typeof SimulatedStore {
  return class extends SimulatedStore {
    override async destroy(id: string): Promise<EndedSession | undefined> {
      const ended = await super.destroy(id);
      if (ended !== undefined) this.#ends.set(id, "after-destroy");
      return ended;
    }

    override async destroyByUser(...args: Parameters<SimulatedStore["destroyByUser"]>): Promise<string[]> {
      const ended = await super.destroyByUser(...args);
      for (const id of ended) this.#ends.set(id, "after-destroy-by-user");
      return ended;
    }

    override async sweep(...args: Parameters<SimulatedStore["sweep"]>): Promise<EndedSession[]> {
      const swept = await super.sweep(...args);
      for (const { id } of swept) this.#ends.set(id, "after-sweep");
      return swept;
    }

    override async update(id: string, change: SessionChange, options?: UpdateOptions): Promise<UpdateResult> {
      if (verb === "update") this.#revive(id);
      return super.update(id, change, options);
    }

    override async touch(id: string, options: TouchOptions): Promise<boolean> {
      if (verb === "touch") this.#revive(id);
      return super.touch(id, options);
    }

    override async rename(...args: Parameters<SimulatedStore["rename"]>): Promise<RenameResult> {
      if (verb === "rename") this.#revive(args[0]);
      return super.rename(...args);
    }

    get #ends(): Map<string, Absence> {
      return note(this.backend, "ends", () => new Map());
    }

    #revive(id: string): void {
      const { sessions } = this.backend;
      const isExpired = sessions.has(id) && this.live(id) === undefined;
      const reason = isExpired ? "after-expiry" : sessions.has(id) ? undefined : (this.#ends.get(id) ?? "unknown");
      if (reason !== absence) return;
      const now = this.backend.now();
      const revived = { version: 1, createdAt: now, lastActiveAt: now, expiresAt: now + hour, endsAt: now + day };
      this.write({ id, userId: undefined, payload: "", ...revived });
    }
  };
}

const absences: readonly Absence[] = [
  "unknown",
  "after-destroy",
  "after-destroy-by-user",
  "after-expiry",
  "after-sweep",
];

export const lifecycleMutants: Mutants = {
  "create/answers-the-record": {
    breaks: "create answers what it was given, not what is stored",
    Store: class extends SimulatedStore {
      override async create(session: NewSession, options?: CreateOptions): Promise<CreateResult> {
        const result = await super.create(session, options);
        if (result.status !== "created") return result;
        return { ...result, record: { ...result.record, endsAt: result.record.expiresAt } };
      }
    },
  },
  "create/duplicate-leaves-the-first": {
    breaks: "create writes first and looks for a duplicate afterwards",
    Store: class extends SimulatedStore {
      override async create(session: NewSession, options?: CreateOptions): Promise<CreateResult> {
        const former = this.live(session.id);
        const result = await super.create(session, options);
        if (former !== undefined) this.write({ ...former, payload: session.payload });
        return result;
      }
    },
  },
  "destroy/answers-what-it-ended": {
    breaks: "destroy answers as if it had ended something when there was nothing, for an anonymous session nothing",
    Store: class extends SimulatedStore {
      override async destroy(id: string): Promise<EndedSession | undefined> {
        const ended = await super.destroy(id);
        return ended?.userId === undefined ? undefined : ended;
      }
    },
  },
  "race/reads-among-ends": {
    breaks: "a read joins one of the same id that is on its way",
    Store: class extends SimulatedStore {
      override get(id: string): Promise<SessionRecord | undefined> {
        const onTheirWay = note(this.backend, "reads", () => new Map<string, Promise<SessionRecord | undefined>>());
        const joined = onTheirWay.get(id);
        if (joined !== undefined) return joined;
        const read = super.get(id).finally(gap);
        onTheirWay.set(id, read);
        void read.finally(() => onTheirWay.delete(id));
        return read;
      }
    },
  },
  ...Object.fromEntries(
    absences.flatMap((absence) =>
      (["update", "touch", "rename"] as const).map((verb) => [
        `${verb}/${absence}-stays-missing`,
        { breaks: `${verb} creates a missing session (${absence})`, Store: reviving(verb, absence) },
      ]),
    ),
  ),
};
