import type { SessionState } from "../content/content.js";
import { aborted } from "../contract/abort.js";
import type { CallOptions } from "../contract/call.js";
import type { SessionError } from "../contract/errors.js";
import type { SessionRecord } from "../contract/store.js";
import type { Activity } from "./activity.js";
import { sessionsOnly } from "./aliases.js";
import type { ClientBinding } from "./binding.js";
import type { Client } from "./client.js";
import type { Contents } from "./contents.js";
import type { EventHub } from "./events.js";
import type { RegenerationGrace } from "./regeneration-grace.js";
import type { StoreCalls } from "./store-calls.js";

/** How a session is read. */
export interface ReadInput extends CallOptions {
  /** Whether the read counts as activity. */
  readonly touch: boolean;
  /** Whether to ask the store past every copy in this process. */
  readonly fresh: boolean;
  readonly client: Client | undefined;
}

/** A session that was found. */
interface Found {
  readonly state: SessionState;
  /** Whether it was read by the id that it had before its regeneration. */
  readonly isSuperseded: boolean;
}

/** The outcome of a read: a session, no session, or `rejected` for a session that is bound to another client. */
export type Lookup = Found | "rejected" | undefined;

interface ReaderParts {
  readonly calls: StoreCalls;
  readonly contents: Contents;
  readonly activity: Activity;
  readonly events: EventHub;
  readonly grace: RegenerationGrace | undefined;
  readonly binding: ClientBinding | undefined;
}

/** Reads sessions: one by its id, the sessions of a user, and all of them. */
export class SessionReader {
  readonly #parts: ReaderParts;

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  /**
   * Returns a session at once, if the store holds it in this process, its content is known, and the read has nothing to
   * write or check. `undefined` does not mean that there is none: call {@link SessionReader.find}.
   */
  peek(id: string, { touch, fresh, client, signal }: ReadInput): SessionState | undefined {
    if (fresh || signal?.aborted === true || (client !== undefined && this.#parts.binding !== undefined))
      return undefined;
    const record = this.#parts.calls.peek(id);
    const state = record && this.#parts.contents.known(record);
    return state === undefined || (touch && this.#parts.activity.isTouchDue(state)) ? undefined : state;
  }

  /** @throws SessionError `DECODE` */
  async find(id: string, input: ReadInput): Promise<Lookup> {
    const { touch, fresh, client } = input;
    const state = await this.read(id, input, fresh);
    if (state === undefined) return this.#findSuperseded(id, input);
    // Before the touch: a rejected client must not prolong the session.
    if (!this.admits(state, client)) return "rejected";
    if (!touch || !this.#parts.activity.isTouchDue(state)) return { state, isSuperseded: false };
    const touched = await this.#touch(state, input);
    return touched.status === "ended" ? undefined : { state: touched.state, isSuperseded: false };
  }

  /**
   * Reads a session as it is stored.
   *
   * @throws SessionError `DECODE`
   */
  async read(id: string, call: CallOptions, fresh = false): Promise<SessionState | undefined> {
    const record = await this.#parts.calls.get(id, fresh ? { fresh } : undefined, call);
    return record && this.#parts.contents.read(record, "get");
  }

  /** Whether a client may have a session. */
  admits(state: SessionState, client: Client | undefined): boolean {
    return this.#parts.binding?.admits(state, client) ?? true;
  }

  /** Reads the live sessions of a user, oldest first. A session that cannot be read is left out and becomes an `error` event. */
  async listByUser(userId: string, call: CallOptions): Promise<SessionState[]> {
    const operation = "listByUser";
    const records = await this.recordsOf(userId, operation, call);
    const states = await Promise.all(records.map((record) => this.#parts.contents.readOrReport(record, operation)));
    return states.filter((state) => state !== undefined);
  }

  /** Reads the records of a user. Each record that the store cannot read becomes an `error` event. */
  recordsOf(
    userId: string,
    operation: string,
    call: CallOptions,
    corrupt: SessionError[] = [],
  ): Promise<SessionRecord[]> {
    const { calls, events } = this.#parts;
    const onCorrupt = (error: SessionError): void => {
      corrupt.push(error);
      events.emit("error", { error, operation, userId });
    };
    return calls.listByUser(userId, { onCorrupt }, operation, call);
  }

  /** Walks all live sessions. A session that cannot be read is left out and becomes an `error` event. */
  async *scan(call: CallOptions): AsyncGenerator<SessionState, void, undefined> {
    const operation = "scan";
    const { calls, contents, events } = this.#parts;
    const onCorrupt = (error: SessionError): void => events.emit("error", { error, operation });
    for await (const record of calls.scan({ onCorrupt }, call)) {
      if (call.signal?.aborted) throw aborted("@sojourn/core", operation, call.signal, false);
      const [session] = sessionsOnly([record]);
      const state = session && (await contents.readOrReport(session, operation));
      if (state !== undefined) yield state;
    }
  }

  /** Touches a session. Calls without `signal` and `timeoutMs` share the touch of a tick. */
  #touch(state: SessionState, { signal, timeoutMs }: ReadInput): ReturnType<Activity["touch"]> {
    const { activity } = this.#parts;
    const isBounded = signal !== undefined || timeoutMs !== undefined;
    return isBounded ? activity.touch(state, { signal, timeoutMs }) : activity.touchOnRead(state);
  }

  async #findSuperseded(id: string, { client, ...call }: ReadInput): Promise<Lookup> {
    const record = await this.#parts.grace?.find(id, call);
    if (record === undefined) return undefined;
    const state = await this.#parts.contents.read(record, "get");
    return this.admits(state, client) ? { state, isSuperseded: true } : "rejected";
  }
}
