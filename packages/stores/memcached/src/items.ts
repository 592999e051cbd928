import { randomBytes } from "node:crypto";
import { SessionError } from "@sojourn/core/adapter";
import type { Exchange } from "./exchange.js";
import { Keys } from "./keys.js";
import type { MemjsServer } from "./memjs.js";
import {
  decodeMembers,
  decodeSession,
  encodeMembers,
  encodeSession,
  type Member,
  type StoredSession,
} from "./record.js";
import type { ServerClock } from "./server-clock.js";
import type { Wire } from "./wire.js";

/** The content of a key, and the token that it takes to change just that. */
export interface Slot<T> {
  readonly key: string;
  readonly server: MemjsServer;
  /** The namespace's generation on that server. */
  readonly generation: string;
  /** The token of the item read; `undefined` when there was none. */
  readonly token: bigint | undefined;
  /** `undefined` when there is no item, or when `clear` has ended it. */
  readonly value: T | undefined;
}

export type SessionSlot = Slot<StoredSession>;
export type UserSlot = Slot<readonly Member[]>;

/** A session is over when the clock is this far past its deadline: two estimates of one clock differ by up to a second. */
export const expiryPrecisionMs = 1_000;

/** memcached takes up to this many as seconds from now, and more as a date. */
const longestRelativeExptime = 30 * 24 * 3_600;
const latestDate = 0xffff_ffff;

/** The cost of an item beside its value: memcached's header, and the key. */
const itemOverheadBytes = 160;
/** The same and the largest header of a session: a user id of 512 bytes, all of them escaped in JSON. */
export const sessionOverheadBytes = 4_096;

/**
 * The items of one namespace: reads with their tokens, writes only by compare-and-swap.
 *
 * Each server holds the namespace's generation, a random text that is read together with every item and written into it. An
 * item of another generation counts as missing. `clear` writes a new generation. A server that has lost it begins a new one,
 * which ends everything written before.
 */
export class Items {
  readonly #wire: Wire;
  readonly #clock: ServerClock;
  readonly #keys: Keys;
  readonly #maxItemBytes: number;
  readonly #generationReads = new Map<MemjsServer, Promise<string>>();

  constructor(wire: Wire, clock: ServerClock, namespace: string, maxItemBytes: number) {
    this.#wire = wire;
    this.#clock = clock;
    this.#keys = new Keys(namespace);
    this.#maxItemBytes = maxItemBytes;
  }

  session(id: string, exchange: Exchange): Promise<SessionSlot> {
    return this.sessionAt(this.#keys.session(id), exchange);
  }

  async sessionAt(key: string, exchange: Exchange): Promise<SessionSlot> {
    const slot = await this.#read(key, decodeSession, exchange);
    if (slot.value !== undefined) this.#clock.observe(slot.value.lastActiveAt);
    return slot;
  }

  async user(userId: string, exchange: Exchange): Promise<UserSlot> {
    const slot = await this.#read(this.#keys.user(userId), decodeMembers, exchange);
    for (const { createdAt } of slot.value ?? []) this.#clock.observe(createdAt);
    return slot;
  }

  /**
   * @param slackMs - how far the clock by which the deadline was set may be from this one's: 0 for a new session
   * @returns the slot as written, or `undefined` when another writer was faster
   */
  saveSession(
    slot: SessionSlot,
    session: StoredSession,
    exchange: Exchange,
    slackMs: number = expiryPrecisionMs,
  ): Promise<SessionSlot | undefined> {
    return this.#write(slot, session, encodeSession(session, slot.generation), session.expiresAt + slackMs, exchange);
  }

  /** Likewise, for a user's item. One without members is removed. */
  async saveUser(slot: UserSlot, members: readonly Member[], exchange: Exchange): Promise<UserSlot | undefined> {
    if (members.length === 0) {
      const isGone = slot.token === undefined || (await this.remove(slot, exchange));
      return isGone ? { ...slot, token: undefined, value: undefined } : undefined;
    }
    const bytes = encodeMembers(members, slot.generation);
    const endMs = Math.max(...members.map(({ expiresAt }) => expiresAt)) + expiryPrecisionMs;
    return this.#write(slot, members, bytes, endMs, exchange);
  }

  /** @returns false when another writer was faster */
  async remove({ server, key, token }: Slot<unknown>, exchange: Exchange): Promise<boolean> {
    return token !== undefined && this.#wire.delete(server, key, token, exchange);
  }

  /** Ends everything that was written before. */
  async rotateGeneration(exchange: Exchange): Promise<void> {
    // Without expiry: an item that expires would end every session with it. It is one small item for each server.
    const rotate = (server: MemjsServer) =>
      this.#wire.set(server, this.#keys.generation, Buffer.from(newGeneration()), 0, exchange);
    await Promise.all(this.#wire.servers.map(rotate));
  }

  async #read<T>(
    key: string,
    decode: (item: Buffer) => { generation: string; value: T },
    exchange: Exchange,
  ): Promise<Slot<T>> {
    const server = this.#wire.serverOf(key);
    const [item, generation] = await Promise.all([this.#wire.get(server, key, exchange), this.#generation(server)]);
    const decoded = item === undefined ? undefined : decode(item.value);
    const value = decoded?.generation === generation ? decoded.value : undefined;
    return { key, server, generation, token: item?.token, value };
  }

  async #write<T>(
    slot: Slot<T>,
    value: T,
    bytes: Buffer,
    endMs: number,
    exchange: Exchange,
  ): Promise<Slot<T> | undefined> {
    const { key, server, token } = slot;
    // A server that refuses an item as too large removes the stored one.
    if (bytes.length + itemOverheadBytes > this.#maxItemBytes) {
      throw new SessionError("LIMIT_REACHED", "@sojourn/memcached: the sessions of a user no longer fit into one item");
    }
    const exptime = exptimeOf(endMs, this.#clock.now());
    const written = await (token === undefined
      ? this.#wire.add(server, key, bytes, exptime, exchange)
      : this.#wire.swap({ server, key, token }, bytes, exptime, exchange));
    return written === undefined ? undefined : { ...slot, value, token: written };
  }

  /** Shared by the reads of one tick, so that it is sent once and is no older than any of them. */
  #generation(server: MemjsServer): Promise<string> {
    const sharedRead = this.#generationReads.get(server);
    if (sharedRead !== undefined) return sharedRead;
    const read = this.#readGeneration(server);
    this.#generationReads.set(server, read);
    queueMicrotask(() => this.#generationReads.delete(server));
    return read;
  }

  async #readGeneration(server: MemjsServer): Promise<string> {
    const { shared } = this.#wire;
    for (;;) {
      const item = await this.#wire.get(server, this.#keys.generation, shared);
      if (item !== undefined) return item.value.toString();
      // `add`: of several processes that find none, one decides, and the others read it.
      const generation = newGeneration();
      const added = await this.#wire.add(server, this.#keys.generation, Buffer.from(generation), 0, shared);
      if (added !== undefined) return generation;
    }
  }
}

/**
 * Returns memcached's expiry for a deadline, and never an earlier one: a second is added because the current one is almost
 * up, and two where it is a date, by a clock that may be a second ahead of ours.
 */
export function exptimeOf(endMs: number, now: number): number {
  const seconds = Math.ceil(Math.max(endMs - now, 0) / 1_000) + 1;
  return seconds <= longestRelativeExptime ? seconds : Math.min(Math.ceil(endMs / 1_000) + 2, latestDate);
}

function newGeneration(): string {
  return randomBytes(9).toString("base64url");
}
