import { isSessionError } from "@sojourn/core";
import type { CreateOptions, CreateResult, NewSession, RenameResult } from "@sojourn/core/adapter";
import { SimulatedStore } from "../simulated.js";
import type { Mutants } from "./mutant.js";

type RenameArguments = Parameters<SimulatedStore["rename"]>;

export const takeoverMutants: Mutants = {
  "create/keeps-its-age": {
    breaks: "a session taken over begins with version 1",
    Store: class extends SimulatedStore {
      override create({ version: _, ...session }: NewSession, options?: CreateOptions): Promise<CreateResult> {
        return super.create(session, options);
      }
    },
  },
  "create/aged-in-order": {
    breaks: "a session taken over counts as created now",
    Store: class extends SimulatedStore {
      override create({ ageMs: _, ...session }: NewSession, options?: CreateOptions): Promise<CreateResult> {
        return super.create(session, options);
      }
    },
  },
  "create/refuses-bad-ages": {
    breaks: "an age out of range is taken for none",
    Store: class extends SimulatedStore {
      override create(session: NewSession, options?: CreateOptions): Promise<CreateResult> {
        return super.create(session, options).catch((error: unknown) => {
          if (!isSessionError(error, "INVALID_ARGUMENT")) throw error;
          const { ageMs: _, inactiveMs: __, version: ___, ...plain } = session;
          return super.create(plain, options);
        });
      }
    },
  },
  "rename/restarts-the-absolute-deadline": {
    breaks: "a rename ignores absoluteMs",
    Store: class extends SimulatedStore {
      override rename(...[id, newId, change = {}, options]: RenameArguments): Promise<RenameResult> {
        const { absoluteMs: _, ...rest } = change;
        return super.rename(id, newId, rest, options);
      }
    },
  },
  "rename/nearer-absolute-deadline": {
    breaks: "a nearer absolute deadline leaves the idle one beyond it",
    Store: class extends SimulatedStore {
      override async rename(...args: RenameArguments): Promise<RenameResult> {
        const before = this.live(args[0]);
        const result = await super.rename(...args);
        const renamed = this.live(args[1]);
        if (result.status !== "renamed" || before === undefined || renamed === undefined) return result;
        const { expiresAt } = args[2]?.idleMs === undefined ? before : renamed;
        this.write({ ...renamed, expiresAt });
        return { ...result, record: { ...result.record, expiresAt } };
      }
    },
  },
};
