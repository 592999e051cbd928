import type { Exchange } from "./exchange.js";
import { expiryPrecisionMs, type Items, type SessionSlot } from "./items.js";
import type { StoredSession } from "./record.js";
import type { ServerClock } from "./server-clock.js";

/** The state of a session by its record alone. A session with a user is alive only if its user's item lists it too. */
export type FoundRecord =
  /** There is no record, or its session has expired. */
  | { readonly status: "missing"; readonly slot: SessionSlot }
  /** A rename has moved the session to another id. */
  | { readonly status: "moved"; readonly slot: SessionSlot; readonly session: StoredSession }
  /** A rename that has not decided yet is about to move a session here. */
  | ArrivingRecord
  | PresentRecord;

export interface ArrivingRecord {
  readonly status: "arriving";
  readonly slot: SessionSlot;
  readonly session: StoredSession & { readonly former: string };
}

export interface PresentRecord {
  readonly status: "present";
  readonly slot: SessionSlot;
  readonly session: StoredSession;
}

/** Reads the records of sessions, and tells those that a rename is making from those that it has made. */
export class Records {
  readonly #items: Items;
  readonly #clock: ServerClock;

  readonly #readSeconds: () => Promise<number>;

  constructor(items: Items, clock: ServerClock, readSeconds: () => Promise<number>) {
    this.#items = items;
    this.#clock = clock;
    this.#readSeconds = readSeconds;
  }

  async find(id: string, exchange: Exchange): Promise<FoundRecord> {
    return this.decided(await this.read(id, exchange), exchange);
  }

  async findAt(key: string, exchange: Exchange): Promise<FoundRecord> {
    const [slot] = await Promise.all([this.#items.sessionAt(key, exchange), this.ready()]);
    return this.decided(this.#judge(slot), exchange);
  }

  /** Reads a record without its former one: each that a rename has made, and that was not written since, is `arriving`. */
  async read(id: string, exchange: Exchange): Promise<FoundRecord> {
    const [slot] = await Promise.all([this.#items.session(id, exchange), this.ready()]);
    return this.#judge(slot);
  }

  /** Reads the former record of an arriving one: the rename has decided if the former one says so. */
  async decided(found: FoundRecord, exchange: Exchange): Promise<FoundRecord> {
    if (found.status !== "arriving") return found;
    const former = await this.#items.sessionAt(found.session.former, exchange);
    if (hasMovedTo(former, found)) return arrived(found);
    // Between the two reads the rename may have come to its end, and removed the former record.
    const again = await this.#items.sessionAt(found.slot.key, exchange);
    return again.token === found.slot.token ? found : this.decided(this.#judge(again), exchange);
  }

  /** Returns a promise only while the server's time is not known yet. */
  ready(): Promise<void> | undefined {
    return this.#clock.ready(this.#readSeconds);
  }

  #judge(slot: SessionSlot): FoundRecord {
    const session = slot.value;
    if (session === undefined || this.#clock.now() >= session.expiresAt + expiryPrecisionMs) {
      return { status: "missing", slot };
    }
    if (session.movedTo !== undefined) return { status: "moved", slot, session };
    const { former } = session;
    return former === undefined
      ? { status: "present", slot, session }
      : { status: "arriving", slot, session: { ...session, former } };
  }
}

/** Whether a rename has decided: the former record says that its session has moved to the other one. */
export function hasMovedTo({ value }: SessionSlot, { slot, session }: ArrivingRecord): boolean {
  return value?.movedTo === slot.key && value.nonce === session.nonce;
}

/** Returns the record of a rename that has decided. Its next write leaves out the former one. */
export function arrived({ slot, session }: ArrivingRecord): PresentRecord {
  return { status: "present", slot, session: { ...session, former: undefined } };
}
