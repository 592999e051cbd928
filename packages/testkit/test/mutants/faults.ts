import { AsyncResource } from "node:async_hooks";
import { SessionError } from "@sojourn/core";
import type {
  CreateOptions,
  CreateResult,
  NewSession,
  ReadManyOptions,
  ScanOptions,
  SessionRecord,
  StoreCapabilities,
  UpdateResult,
} from "@sojourn/core/adapter";
import { type SimulatedBackend, SimulatedStore } from "../simulated.js";
import { type Mutants, note } from "./mutant.js";

export const faultMutants: Mutants = {
  "outage/every-method-rejects": {
    breaks: "while the backend is down get finds nothing",
    Store: class extends SimulatedStore {
      override async get(id: string): Promise<SessionRecord | undefined> {
        return this.backend.reachable ? super.get(id) : undefined;
      }
    },
  },
  "outage/down-at-start": {
    breaks: "a store that could not connect at start never tries again",
    Store: class extends SimulatedStore {
      readonly #failed: boolean;
      constructor(backend: SimulatedBackend, declared: Partial<StoreCapabilities>) {
        super(backend, declared);
        this.#failed = !backend.reachable;
      }
      protected override assertOpen(): void {
        super.assertOpen();
        if (this.#failed) throw new SessionError("CLOSED", "the first connection failed");
      }
    },
  },
  "outage/an-unknown-outcome-is-said": {
    breaks: "an update that timed out claims that nothing was written",
    Store: class extends SimulatedStore {
      override async update(...args: Parameters<SimulatedStore["update"]>): Promise<UpdateResult> {
        if (this.backend.reachable) return super.update(...args);
        throw new SessionError("TIMEOUT", "no answer", { outcomeUnknown: false });
      }
    },
  },
  "corrupt/get-rejects": {
    breaks: "get removes what it cannot read",
    Store: class extends SimulatedStore {
      override async get(id: string): Promise<SessionRecord | undefined> {
        const isCorrupt = this.live(id) !== undefined && this.live(id)?.payload === undefined;
        try {
          return await super.get(id);
        } finally {
          if (isCorrupt) this.backend.sessions.delete(id);
        }
      }
    },
  },
  "corrupt/list-goes-on": {
    breaks: "a list with a corrupt record in it rejects",
    Store: class extends SimulatedStore {
      override async listByUser(userId: string): Promise<SessionRecord[]> {
        this.assertOpen();
        await super.listByUser(userId);
        return this.liveOf(userId).map((session) => this.read(session));
      }
    },
  },
  "corrupt/scan-goes-on": {
    breaks: "scan ends at a corrupt record",
    Store: class extends SimulatedStore {
      override async *scan(options: ScanOptions = {}): AsyncIterable<SessionRecord> {
        this.assertOpen();
        for (const session of [...this.backend.sessions.values()].filter((one) => this.isLive(one))) {
          yield* this.readAll([session], options.onCorrupt);
          if (session.payload === undefined) return;
        }
      }
    },
  },
  "corrupt/keeps-its-id": {
    breaks: "create takes the place of a record that it cannot read",
    Store: class extends SimulatedStore {
      override async create(session: NewSession, options?: CreateOptions): Promise<CreateResult> {
        const { sessions } = this.backend;
        if (sessions.has(session.id) && sessions.get(session.id)?.payload === undefined) sessions.delete(session.id);
        return super.create(session, options);
      }
    },
  },
  "corrupt/neighbours-unharmed": {
    breaks: "destroyByUser rejects when a record of the user is corrupt",
    Store: class extends SimulatedStore {
      override async destroyByUser(...args: Parameters<SimulatedStore["destroyByUser"]>): Promise<string[]> {
        const theirs = this.liveOf(args[0]);
        const isCorrupt = theirs.some(({ payload }) => payload === undefined);
        return isCorrupt ? theirs.slice(0, 1).map(({ id }) => id) : super.destroyByUser(...args);
      }
    },
  },
  "corrupt/reported-in-the-callers-context": {
    breaks: "what the socket of the first caller answers is reported in that caller's context",
    Store: class extends SimulatedStore {
      override async listByUser(userId: string, options: ReadManyOptions = {}): Promise<SessionRecord[]> {
        const socket = note(this.backend, "socket", () => new AsyncResource("socket"));
        const { onCorrupt } = options;
        return super.listByUser(userId, {
          onCorrupt: onCorrupt && ((error) => socket.runInAsyncScope(onCorrupt, undefined, error)),
        });
      }
    },
  },
  "setup/ten-at-once": {
    breaks: "the tenth set-up of a table replaces it",
    Store: class extends SimulatedStore {
      constructor(backend: SimulatedBackend, declared: Partial<StoreCapabilities>) {
        super(backend, declared);
        if (backend.opened > 10) backend.sessions.clear();
      }
    },
  },
  "close/then-closed": {
    breaks: "a closed store goes on reading",
    Store: class extends SimulatedStore {
      #closed = false;
      override async close(): Promise<void> {
        this.#closed = true;
        await super.close();
      }
      override async listByUser(...args: Parameters<SimulatedStore["listByUser"]>): Promise<SessionRecord[]> {
        return this.#closed ? [] : super.listByUser(...args);
      }
    },
  },
  "close/right-after-opening": {
    breaks: "a store that was never used does not know that it was closed",
    Store: class extends SimulatedStore {
      #used = false;
      protected override assertOpen(): void {
        if (this.#used) super.assertOpen();
        this.#used = true;
      }
    },
  },
  "close/leaves-others-open": {
    breaks: "close closes what it shares with others",
    Store: class extends SimulatedStore {
      override async close(): Promise<void> {
        this.backend.notes.set("closed", true);
        await super.close();
      }
      protected override assertOpen(): void {
        super.assertOpen();
        if (this.backend.notes.has("closed")) throw new SessionError("CLOSED", "somebody closed the connection");
      }
    },
  },
};
