import { randomBytes } from "node:crypto";
import { SessionError } from "@sojourn/core/adapter";
import { Keys } from "./keys.js";
import {
  decodeMembers,
  decodeSession,
  encodeMembers,
  encodeSession,
  type Member,
  type StoredSession,
} from "./record.js";
import type { ServerClock } from "./server-clock.js";
import type { MemjsServer, Wire } from "./wire.js";

/** What was found under a key, and what it takes to change just that. */
export interface Slot<T> {
  readonly key: string;
  readonly server: MemjsServer;
  /** The namespace's generation on that server. */
  readonly generation: string;
  /** Of the item read; `undefined` when there was none. */
  readonly token: bigint | undefined;
  /** `undefined` when there is no item, or one that `clear` has put an end to. */
  readonly value: T | undefined;
}

export type SessionSlot = Slot<StoredSession>;
export type UserSlot = Slot<readonly Member[]>;

/** A session is over when the clock is this far past its deadline: two estimates of one clock differ by up to a second. */
export const expiryPrecisionMs = 1_000;

/** What memcached takes as seconds from now; more is a date. */
const longestRelativeExptime = 30 * 24 * 3_600;
const latestDate = 0xffff_ffff;

/** What an item costs beside its value: memcached's header, and the key. */
const itemOverheadBytes = 160;
/** The same and the largest header of a session: a user id of 512 bytes, all of them escaped in JSON. */
export const sessionOverheadBytes = 4_096;

/**
 * The items of one namespace: reads with their tokens, writes only by compare-and-swap.
 *
 * Each server holds the namespace's generation, a random text that is read together with every item and written into it. An
 * item of another generation is as good as none. `clear` writes a new generation; where the server has lost it, nobody can
 * tell what counts, so nothing does.
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

  async session(id: string): Promise<SessionSlot> {
    const slot = await this.#read(this.#keys.session(id), decodeSession);
    if (slot.value !== undefined) this.#clock.observe(slot.value.lastActiveAt);
    return slot;
  }

  async user(userId: string): Promise<UserSlot> {
    const slot = await this.#read(this.#keys.user(userId), decodeMembers);
    for (const { createdAt } of slot.value ?? []) this.#clock.observe(createdAt);
    return slot;
  }

  /**
   * @param slackMs - how far the clock by which the deadline was set may be from this one's: nothing for a new session
   * @returns the slot as written, or `undefined` when it is no longer as it was read
   */
  saveSession(
    slot: SessionSlot,
    session: StoredSession,
    slackMs: number = expiryPrecisionMs,
  ): Promise<SessionSlot | undefined> {
    return this.#write(slot, session, encodeSession(session, slot.generation), session.expiresAt + slackMs);
  }

  /** Likewise; a user's item without members is removed. */
  async saveUser(slot: UserSlot, members: readonly Member[]): Promise<boolean> {
    if (members.length === 0) return slot.token === undefined || this.remove(slot);
    const bytes = encodeMembers(members, slot.generation);
    const endMs = Math.max(...members.map(({ expiresAt }) => expiresAt)) + expiryPrecisionMs;
    return (await this.#write(slot, members, bytes, endMs)) !== undefined;
  }

  /** @returns false when the item is no longer as it was read */
  async remove(slot: Slot<unknown>): Promise<boolean> {
    return slot.token !== undefined && this.#wire.delete(slot.server, slot.key, slot.token);
  }

  /** Ends everything that was written before. */
  async beginAnew(): Promise<void> {
    // Without an end: an item that expires would end every session with it. It is one small item for each server.
    const fresh = (server: MemjsServer) =>
      this.#wire.set(server, this.#keys.generation, Buffer.from(newGeneration()), 0);
    await Promise.all(this.#wire.servers.map(fresh));
  }

  async #read<T>(key: string, decode: (item: Buffer) => { generation: string; value: T }): Promise<Slot<T>> {
    const server = this.#wire.serverOf(key);
    const [item, generation] = await Promise.all([this.#wire.get(server, key), this.#generation(server)]);
    const decoded = item === undefined ? undefined : decode(item.value);
    const value = decoded?.generation === generation ? decoded.value : undefined;
    return { key, server, generation, token: item?.token, value };
  }

  async #write<T>(slot: Slot<T>, value: T, bytes: Buffer, endMs: number): Promise<Slot<T> | undefined> {
    const { key, server, token } = slot;
    // A server that refuses an item as too large removes the one that was there.
    if (bytes.length + itemOverheadBytes > this.#maxItemBytes) {
      throw new SessionError("LIMIT_REACHED", "@sojourn/memcached: the sessions of a user no longer fit into one item");
    }
    const exptime = exptimeOf(endMs, this.#clock.now());
    const written = await (token === undefined
      ? this.#wire.add(server, key, bytes, exptime)
      : this.#wire.swap(server, key, bytes, exptime, token));
    return written === undefined ? undefined : { ...slot, value, token: written };
  }

  /** Shared by what is read in one tick, so that it is sent once and is no older than any of the reads. */
  #generation(server: MemjsServer): Promise<string> {
    const sharedRead = this.#generationReads.get(server);
    if (sharedRead !== undefined) return sharedRead;
    const read = this.#readGeneration(server);
    this.#generationReads.set(server, read);
    queueMicrotask(() => this.#generationReads.delete(server));
    return read;
  }

  async #readGeneration(server: MemjsServer): Promise<string> {
    for (;;) {
      const item = await this.#wire.get(server, this.#keys.generation);
      if (item !== undefined) return item.value.toString();
      // `add`: of several processes that find none one decides, and the others read it.
      const generation = newGeneration();
      const added = await this.#wire.add(server, this.#keys.generation, Buffer.from(generation), 0);
      if (added !== undefined) return generation;
    }
  }
}

/**
 * Never before `endMs`: in whole seconds, one of which is almost up, and a date by a clock that is a second ahead of ours.
 */
export function exptimeOf(endMs: number, now: number): number {
  const seconds = Math.ceil(Math.max(endMs - now, 0) / 1_000) + 1;
  return seconds <= longestRelativeExptime ? seconds : Math.min(Math.ceil(endMs / 1_000) + 2, latestDate);
}

function newGeneration(): string {
  return randomBytes(9).toString("base64url");
}
