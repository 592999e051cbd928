import { type EndedSession, isAliasId, type NewSession, type SessionRecord } from "@sojourn/core/adapter";
import { sessionBytes } from "./bytes.js";
import { type Budget, ExpiryWheel } from "./expiry-wheel.js";
import { Rings } from "./rings.js";
import { ShardedMap } from "./sharded-map.js";
import { link, none, number, Table, text } from "./table.js";
import { UserIndex } from "./user-index.js";

/**
 * The sessions of one store, with their indexes: by id, by user, by deadline, by last use.
 *
 * Each method is one synchronous step that leaves all indexes consistent. A session is identified by its slot in the
 * table.
 */
export class Sessions {
  readonly #table: Table = new Table();
  readonly #slots: ShardedMap = new ShardedMap();
  readonly #users: UserIndex = new UserIndex(this.#table);
  readonly #recency: Rings = new Rings(this.#table, link.recency);
  readonly #wheel: ExpiryWheel;
  /** The expired sessions that have left the wheel. They use its columns. */
  readonly #expired: Rings = new Rings(this.#table, link.expiry);
  #leastRecent: number = none;
  #firstExpired: number = none;
  #expiredCount = 0;
  #aliasCount = 0;
  #bytes = 0;

  constructor(now: number) {
    this.#wheel = new ExpiryWheel(this.#table, now);
  }

  /** The number of sessions held, expired ones included. */
  get size(): number {
    return this.#slots.size;
  }

  /** The estimated memory of the sessions held, expired ones included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The number of sessions known to have expired: all expired ones, after `findExpired` has finished. */
  get expired(): number {
    return this.#expiredCount;
  }

  /** The number of aliases, which are no sessions, without those known to have expired. */
  get aliases(): number {
    return this.#aliasCount;
  }

  /** The number of users, and of sessions with a user, without sessions known to have expired. */
  get users(): Pick<UserIndex, "users" | "sessions"> {
    return this.#users;
  }

  /** The end of the slots: all are below it. */
  get endOfSlots(): number {
    return this.#table.end;
  }

  /** Returns the slot of a live session, or `none`. */
  find(id: string, now: number): number {
    const slot = this.#slots.get(id) ?? none;
    return slot !== none && this.isLive(slot, now) ? slot : none;
  }

  isUsed(slot: number): boolean {
    return this.#table.isUsed(slot);
  }

  isLive(slot: number, now: number): boolean {
    // A session known to have expired stays expired when the clock is set back: the wheel and the user index have
    // dropped it.
    return now < this.#table.number(slot, number.expiresAt) && !this.#isKnownExpired(slot);
  }

  /** Returns the live sessions of a user, oldest first by `createdAt`, then by id. */
  liveOf(userId: string, now: number): number[] {
    const slots = this.#users.slotsOf(userId).filter((slot) => this.isLive(slot, now));
    return slots.sort(
      (a, b) =>
        this.#table.number(a, number.createdAt) - this.#table.number(b, number.createdAt) ||
        (this.id(a) < this.id(b) ? -1 : 1),
    );
  }

  id(slot: number): string {
    // Every slot in use has an id and a payload.
    return this.#table.text(slot, text.id) as string;
  }

  userId(slot: number): string | undefined {
    return this.#table.text(slot, text.userId);
  }

  version(slot: number): number {
    return this.#table.number(slot, number.version);
  }

  record(slot: number, now: number): SessionRecord {
    return {
      id: this.id(slot),
      userId: this.userId(slot),
      payload: this.#payload(slot),
      version: this.version(slot),
      createdAt: this.#table.number(slot, number.createdAt),
      lastActiveAt: this.#table.number(slot, number.lastActiveAt),
      expiresAt: this.#table.number(slot, number.expiresAt),
      endsAt: this.#table.number(slot, number.endsAt),
      now,
    };
  }

  /** Adds a session. Its id must belong to no live session. */
  add(session: NewSession, now: number): number {
    const { id, userId, payload, idleMs, absoluteMs, ageMs = 0, inactiveMs = 0, version = 1 } = session;
    this.#removeExpired(id);
    const slot = this.#table.allocate();
    this.#table.setText(slot, text.id, id);
    this.#table.setText(slot, text.payload, payload);
    this.#table.setNumber(slot, number.createdAt, now - ageMs);
    this.#table.setNumber(slot, number.lastActiveAt, now - inactiveMs);
    this.#table.setNumber(slot, number.expiresAt, now + Math.min(idleMs, absoluteMs));
    this.#table.setNumber(slot, number.endsAt, now + absoluteMs);
    this.#table.setNumber(slot, number.version, version);
    this.#table.setNumber(slot, number.bytes, 0);
    this.#slots.set(id, slot);
    this.#aliasCount += Number(isAliasId(id));
    this.#users.add(slot, userId);
    this.#wheel.add(slot);
    this.#leastRecent = this.#recency.append(slot, this.#leastRecent);
    this.#weigh(slot);
    return slot;
  }

  /** Marks a session as the most recently used one. */
  use(slot: number): void {
    const head = this.#leastRecent;
    // Moving the start of a ring on by one makes the head the tail.
    this.#leastRecent =
      slot === head ? this.#recency.next(head) : this.#recency.append(slot, this.#recency.remove(slot, head));
  }

  /** Restarts the absolute deadline, which caps the idle one. */
  setEnd(slot: number, absoluteMs: number, now: number): void {
    const endsAt = now + absoluteMs;
    this.#table.setNumber(slot, number.endsAt, endsAt);
    if (endsAt < this.#table.number(slot, number.expiresAt)) this.#setDeadline(slot, endsAt);
  }

  /** Counts as activity: the deadline becomes `idleMs` from now, capped by the absolute one. */
  restart(slot: number, idleMs: number, now: number): void {
    this.#table.setNumber(slot, number.lastActiveAt, now);
    this.#setDeadline(slot, Math.min(now + idleMs, this.#table.number(slot, number.endsAt)));
  }

  /** Counts as activity: as `restart`, but the deadline never becomes nearer. */
  prolong(slot: number, idleMs: number, now: number): void {
    const deadline = this.#table.number(slot, number.expiresAt);
    if (now + idleMs < deadline) this.#table.setNumber(slot, number.lastActiveAt, now);
    else this.restart(slot, idleMs, now);
  }

  setPayload(slot: number, payload: string): void {
    this.#table.setText(slot, text.payload, payload);
    this.#weigh(slot);
  }

  setUser(slot: number, userId: string | undefined): void {
    if (userId === this.userId(slot)) return;
    this.#users.remove(slot);
    this.#users.add(slot, userId);
    this.#weigh(slot);
  }

  /** Gives a session another id, which must belong to no live session. */
  setId(slot: number, id: string): void {
    this.#removeExpired(id);
    this.#aliasCount += Number(isAliasId(id)) - Number(isAliasId(this.id(slot)));
    this.#slots.delete(this.id(slot));
    this.#slots.set(id, slot);
    this.#table.setText(slot, text.id, id);
    this.#weigh(slot);
  }

  bumpVersion(slot: number): void {
    this.#table.setNumber(slot, number.version, this.version(slot) + 1);
  }

  remove(slot: number): EndedSession {
    const ended = { id: this.id(slot), userId: this.userId(slot) };
    if (this.#isKnownExpired(slot)) {
      this.#firstExpired = this.#expired.remove(slot, this.#firstExpired);
      this.#expiredCount -= 1;
    } else {
      this.#aliasCount -= Number(isAliasId(ended.id));
      this.#users.remove(slot);
      this.#wheel.remove(slot);
    }
    this.#leastRecent = this.#recency.remove(slot, this.#leastRecent);
    this.#slots.delete(ended.id);
    this.#bytes -= this.#table.number(slot, number.bytes);
    this.#table.free(slot);
    return ended;
  }

  /**
   * Takes expired sessions out of the wheel and the user index, until `atLeast` are known, all are known, or the budget
   * is spent.
   */
  findExpired(atLeast: number, now: number, budget: Budget): void {
    while (this.#expiredCount < atLeast) {
      const slot = this.#wheel.takeExpired(now, budget);
      if (slot === none) return;
      this.#setAside(slot);
    }
  }

  /**
   * As `findExpired` for all sessions, while the clock is set back and the wheel finds none: examines every session.
   */
  findExpiredBehindWheel(now: number): void {
    if (!this.#wheel.isAheadOf(now)) return;
    for (let slot = 0; slot < this.endOfSlots; slot += 1) {
      if (!this.isUsed(slot) || this.#isKnownExpired(slot) || this.isLive(slot, now)) continue;
      this.#wheel.remove(slot);
      this.#setAside(slot);
    }
  }

  /** Removes sessions known to have expired, at most `limit`. */
  removeExpired(limit: number): EndedSession[] {
    const removed: EndedSession[] = [];
    while (removed.length < limit && this.#firstExpired !== none) removed.push(this.remove(this.#firstExpired));
    return removed;
  }

  /** Returns the least recently used session, or `none`. */
  get leastRecent(): number {
    return this.#leastRecent;
  }

  #payload(slot: number): string {
    return this.#table.text(slot, text.payload) as string;
  }

  #setDeadline(slot: number, deadline: number): void {
    const isNearer = deadline < this.#table.number(slot, number.expiresAt);
    // The wheel examines a session at its old deadline: too late only if the new deadline is nearer.
    if (isNearer) this.#wheel.remove(slot);
    this.#table.setNumber(slot, number.expiresAt, deadline);
    if (isNearer) this.#wheel.add(slot);
  }

  /** Keeps a session that has left the wheel until it is removed. */
  #setAside(slot: number): void {
    this.#aliasCount -= Number(isAliasId(this.id(slot)));
    this.#users.remove(slot);
    this.#table.setLink(slot, link.bucket, none);
    this.#firstExpired = this.#expired.append(slot, this.#firstExpired);
    this.#expiredCount += 1;
  }

  #isKnownExpired(slot: number): boolean {
    return this.#table.link(slot, link.bucket) === none;
  }

  #removeExpired(id: string): void {
    const slot = this.#slots.get(id);
    if (slot !== undefined) this.remove(slot);
  }

  #weigh(slot: number): void {
    const bytes = sessionBytes(this.id(slot), this.userId(slot), this.#payload(slot));
    this.#bytes += bytes - this.#table.number(slot, number.bytes);
    this.#table.setNumber(slot, number.bytes, bytes);
  }
}
