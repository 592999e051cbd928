import type { EndedSession } from "@sojourn/core";
import {
  type CreateOptions,
  type CreateResult,
  isId,
  type NewSession,
  type SessionCounts,
  type SessionRecord,
  type UpdateResult,
} from "@sojourn/core/adapter";
import type { ModelSession } from "../../src/index.js";
import { SimulatedStore } from "../simulated.js";
import type { Mutants } from "./mutant.js";

export const textMutants: Mutants = {
  "text/awkward-ids": {
    breaks: "ids are stored in a column of 255 characters that cuts",
    Store: class extends SimulatedStore {
      override async create(session: NewSession, options?: CreateOptions): Promise<CreateResult> {
        return super.create({ ...session, id: session.id.slice(0, 255) }, options);
      }
      override async get(id: string): Promise<SessionRecord | undefined> {
        return super.get(typeof id === "string" ? id.slice(0, 255) : id);
      }
    },
  },
  "text/awkward-ids-renamed": {
    breaks: "destroy takes % for a pattern",
    Store: class extends SimulatedStore {
      override async destroy(id: string): Promise<EndedSession | undefined> {
        const [first] = id === "%" ? this.backend.sessions.keys() : [];
        return super.destroy(first ?? id);
      }
    },
  },
  "text/awkward-user-ids": {
    breaks: "the list takes _ for a pattern",
    Store: class extends SimulatedStore {
      override async listByUser(...args: Parameters<SimulatedStore["listByUser"]>): Promise<SessionRecord[]> {
        if (args[0] !== "_") return super.listByUser(...args);
        const all = [...this.backend.sessions.values()].filter(({ userId }) => userId?.length === 1);
        return this.readAll(
          all.filter((session) => this.isLive(session)),
          undefined,
        );
      }
    },
  },
  "text/refused-ids": {
    breaks: "get finds nothing under an id that it should refuse",
    Store: class extends SimulatedStore {
      override async get(id: string): Promise<SessionRecord | undefined> {
        return isId(id) ? super.get(id) : undefined;
      }
    },
  },
  "text/twins-are-strangers": {
    breaks: "ids are compared without regard to case",
    Store: class extends SimulatedStore {
      protected override live(id: string): ModelSession | undefined {
        const found = [...this.backend.sessions.values()].find(
          (session) => session.id.toLowerCase() === id.toLowerCase() && this.isLive(session),
        );
        return super.live(id) ?? found;
      }
    },
  },
  "text/twin-users-are-strangers": {
    breaks: "user ids are compared in their composed form",
    Store: class extends SimulatedStore {
      protected override liveOf(userId: string): ModelSession[] {
        const users = new Set([...this.backend.sessions.values()].map((session) => session.userId));
        const same = [...users].filter((other) => other !== undefined && other.normalize() === userId.normalize());
        return same.flatMap((other) => (other === undefined ? [] : super.liveOf(other)));
      }
    },
  },
  "namespace/isolated": {
    breaks: "the index of users is one for all namespaces",
    Store: class extends SimulatedStore {
      override async destroyByUser(...args: Parameters<SimulatedStore["destroyByUser"]>): Promise<string[]> {
        const ended = await super.destroyByUser(...args);
        for (const backend of this.backend.server.backends.values())
          for (const id of ended) backend.sessions.delete(id);
        return ended;
      }
    },
  },
  "count/leaves-out-aliases": {
    breaks: "count counts aliases",
    Store: class extends SimulatedStore {
      override async count(): Promise<SessionCounts> {
        const live = [...this.backend.sessions.values()].filter((session) => this.isLive(session));
        return { ...(await super.count()), sessions: live.length };
      }
    },
  },
  "namespace/clear-removes-its-own": {
    breaks: "clear removes whatever begins with the namespace",
    Store: class extends SimulatedStore {
      override async clear(): Promise<void> {
        await super.clear();
        for (const { namespace, sessions } of this.backend.server.backends.values()) {
          if (namespace.startsWith(this.backend.namespace)) sessions.clear();
        }
      }
    },
  },
  "namespace/clear-twice": {
    breaks: "clear drops the table, if it is empty",
    Store: class extends SimulatedStore {
      override async clear(): Promise<void> {
        if (this.backend.sessions.size === 0) this.backend.notes.set("dropped", true);
        await super.clear();
      }
      protected override write(session: ModelSession): void {
        if (!this.backend.notes.has("dropped")) super.write(session);
      }
    },
  },
  "namespace/clear-of-many": {
    breaks: "clear removes one batch",
    Store: class extends SimulatedStore {
      override async clear(): Promise<void> {
        this.assertOpen();
        for (const id of [...this.backend.sessions.keys()].slice(0, 500)) this.backend.sessions.delete(id);
      }
    },
  },
  "namespace/awkward-names": {
    breaks: "clear takes an asterisk in the namespace for a pattern",
    Store: class extends SimulatedStore {
      override async clear(): Promise<void> {
        await super.clear();
        const { namespace, server } = this.backend;
        if (!namespace.endsWith("*")) return;
        for (const other of server.backends.values()) {
          if (other.namespace.startsWith(namespace.slice(0, -1))) other.sessions.clear();
        }
      }
    },
  },
  "payload/round-trips": {
    breaks: "NUL is dropped",
    Store: class extends SimulatedStore {
      protected override write(session: ModelSession): void {
        super.write({ ...session, payload: session.payload?.replaceAll("\0", "") });
      }
    },
  },
  "payload/one-megabyte": {
    breaks: "payloads are stored in a column of 100,000 bytes that cuts",
    Store: class extends SimulatedStore {
      protected override write(session: ModelSession): void {
        super.write({ ...session, payload: session.payload?.slice(0, 100_000) });
      }
    },
  },
  "payload/too-large-is-refused": {
    breaks: "the size of a payload is counted in characters",
    Store: class extends SimulatedStore {
      override async update(...args: Parameters<SimulatedStore["update"]>): Promise<UpdateResult> {
        const [id, change, options] = args;
        const { maxPayloadBytes } = this.capabilities;
        const { payload } = change;
        const fits = typeof payload === "string" && payload.length > maxPayloadBytes / 2;
        return super.update(id, fits ? { ...change, payload: payload.slice(0, maxPayloadBytes / 2) } : change, options);
      }
    },
  },
  "payload/refuses-what-is-no-text": {
    breaks: "update makes text of what is none",
    Store: class extends SimulatedStore {
      override async update(...args: Parameters<SimulatedStore["update"]>): Promise<UpdateResult> {
        const [id, change, options] = args;
        return super.update(id, "payload" in change ? { ...change, payload: String(change.payload) } : change, options);
      }
    },
  },
};
