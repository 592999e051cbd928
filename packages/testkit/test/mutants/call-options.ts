import type { SessionRecord, StoreCallOptions, UpdateResult } from "@sojourn/core/adapter";
import { SimulatedStore } from "../simulated.js";
import { type Mutants, note } from "./mutant.js";

type UpdateArguments = Parameters<SimulatedStore["update"]>;

export const callOptionMutants: Mutants = {
  "calls/aborted-before": {
    breaks: "an update looks at its signal only after it has written",
    Store: class extends SimulatedStore {
      override async update(...[id, change, options, call]: UpdateArguments): Promise<UpdateResult> {
        const result = await super.update(id, change, options);
        this.assertOpen(call);
        return result;
      }
    },
  },
  "calls/bad-bounds-are-refused": {
    breaks: "a timeout of 0 is taken for none",
    Store: class extends SimulatedStore {
      protected override assertOpen({ timeoutMs, ...call }: StoreCallOptions = {}): void {
        super.assertOpen({ ...call, ...(timeoutMs !== 0 && { timeoutMs }) });
      }
    },
  },
  "calls/bounds-change-no-answer": {
    breaks: "a signal of an earlier call ends later calls",
    Store: class extends SimulatedStore {
      protected override assertOpen(call: StoreCallOptions = {}): void {
        const signals = note(this.backend, "signals", () => new Set<AbortSignal>());
        if (call.signal != null) signals.add(call.signal);
        const fired = [...signals].find(({ aborted }) => aborted);
        super.assertOpen(fired === undefined ? call : { ...call, signal: fired });
      }
    },
  },
  "peek/agrees-with-get": {
    breaks: "peek answers from a copy that no destroy takes away",
    Store: class extends SimulatedStore {
      readonly peek = (id: string): SessionRecord | undefined => this.#copies.get(id);

      override async get(...args: Parameters<SimulatedStore["get"]>): Promise<SessionRecord | undefined> {
        const record = await super.get(...args);
        if (record !== undefined) this.#copies.set(record.id, record);
        return record;
      }

      override async update(...args: UpdateArguments): Promise<UpdateResult> {
        const result = await super.update(...args);
        if (result.status === "updated") this.#copies.set(result.record.id, result.record);
        return result;
      }

      get #copies(): Map<string, SessionRecord> {
        return note(this.backend, "copies", () => new Map());
      }
    },
  },
};
