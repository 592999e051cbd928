import { randomBytes } from "node:crypto";
import {
  assertChange,
  assertId,
  assertNewSession,
  assertScan,
  assertSweep,
  assertTouch,
  type CreateOptions,
  type CreateResult,
  type DestroyByUserOptions,
  type EndedSession,
  type NewSession,
  type ReadManyOptions,
  type RenameOptions,
  type RenameResult,
  type ScanOptions,
  type SessionChange,
  type SessionCounts,
  SessionError,
  type SessionRecord,
  type SessionStore,
  type StoreCapabilities,
  type SweepOptions,
  type TouchOptions,
  type UpdateOptions,
  type UpdateResult,
} from "@sojourn/core/adapter";
import memjs from "memjs";
import { Finder, type Found } from "./finder.js";
import { expiryPrecisionMs, Items, type SessionSlot, sessionOverheadBytes } from "./items.js";
import { backOff, contention, contentionMs, Memberships } from "./memberships.js";
import { type MemcachedStoreOptions, parseUrl, resolveOptions } from "./options.js";
import type { Member, StoredSession } from "./record.js";
import { type ServerClock, sharedClock } from "./server-clock.js";
import { type MemjsClient, Wire } from "./wire.js";

/** How long others wait for a create or a rename between its first write and the one that decides. */
const claimMs = 3 * contentionMs;

/**
 * Sessions in memcached 1.6 or later, by the driver `memjs`.
 *
 * memcached forgets: a restart or an eviction ends sessions. It never revives one, and never keeps one alive that its
 * user's list does not show. `scan` and `count` reject `NOT_SUPPORTED`.
 */
export class MemcachedStore implements SessionStore {
  readonly capabilities: StoreCapabilities;
  readonly #wire: Wire;
  readonly #items: Items;
  readonly #memberships: Memberships;
  readonly #clock: ServerClock;
  readonly #finder: Finder;
  #disconnect: () => void = () => {};

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: MemcachedStoreOptions) {
    const { client, namespace, timeoutMs, maxItemBytes, maxSessionsPerUser } = resolveOptions(options);
    this.capabilities = {
      expiryPrecisionMs,
      expiry: "native",
      clock: "server",
      scan: false,
      count: false,
      userIndex: "atomic",
      limit: "atomic",
      clear: "generation",
      maxPayloadBytes: maxItemBytes - sessionOverheadBytes,
    };
    this.#wire = new Wire(client, timeoutMs, maxItemBytes);
    this.#clock = sharedClock(client.servers.map(({ host, port }) => `${host}:${port}`).join());
    this.#items = new Items(this.#wire, this.#clock, namespace, maxItemBytes);
    this.#memberships = new Memberships(this.#items, this.#clock, maxSessionsPerUser, timeoutMs);
    this.#finder = new Finder(this.#items, this.#memberships, this.#clock, () => readSeconds(this.#wire));
  }

  /**
   * A store with a client of its own, which `close()` closes.
   *
   * @param url - `memcached://host:port,host2:port2`, with `user:password@` before the first host where servers want SASL
   * @throws SessionError `INVALID_OPTION`
   */
  static fromUrl(url: string, options: Omit<MemcachedStoreOptions, "client"> = {}): MemcachedStore {
    const { servers, username, password } = parseUrl(url);
    const seconds = (options.timeoutMs ?? 2_000) / 1_000;
    const serverOptions = { timeout: seconds, conntimeout: seconds, keepAlive: true };
    const client = new memjs.Client(
      servers.map(({ host, port }) => new memjs.Server(host, port, username, password, { ...serverOptions })),
      // memjs writes each failure to the console, beside handing it over.
      { failover: false, logger: { log: () => {} } },
    );
    const store = new MemcachedStore({ ...options, client });
    store.#disconnect = () => disconnect(client);
    return store;
  }

  async create(session: NewSession, options: CreateOptions = {}): Promise<CreateResult> {
    this.#assertOpen();
    assertNewSession(session, options, this.capabilities);
    const { id, userId, payload, idleMs, absoluteMs } = session;
    return retried(async () => {
      const found = await this.#finder.find(id, userId);
      if (found.session !== undefined) return { status: "duplicate" };
      if (found.isPending) return undefined;
      const now = this.#clock.now();
      const endsAt = now + absoluteMs;
      const expiresAt = Math.min(now + idleMs, endsAt);
      const locks = { claimedUntil: undefined, pendingUntil: now + claimMs };
      const times = { createdAt: now, lastActiveAt: now, expiresAt, endsAt, ...locks };
      const created: StoredSession = { userId, nonce: newNonce(), version: 1, ...times, payload };
      const storing = this.#items.saveSession(found.slot, created, 0);
      if (userId === undefined) {
        const stored = await storing;
        return stored && { status: "created", record: this.#record(id, created), evicted: [] };
      }

      // The record is there before the user's item names it, so that a member without a record is one that has ended: one
      // server keeps the order in which it is sent.
      const userSlot = found.users.get(userId);
      if (userSlot?.server !== found.slot.server) await storing;
      const member = memberOf(id, created);
      const isStored = async (): Promise<boolean> => (await storing) !== undefined;
      const [stored, joined] = await Promise.all([
        storing,
        this.#memberships.join(userId, member, { limit: options.limit, isStored }, userSlot),
      ]);
      if (stored === undefined) {
        // Another session got the id in between.
        if (joined.status === "joined") await this.#memberships.leave(userId, member);
        return undefined;
      }
      if (joined.status !== "joined") {
        await this.#items.remove(stored);
        return { status: "limitReached" };
      }
      this.#finder.remember(id, userId);
      const evicted = await committed(this.#memberships.bury(userId, joined.evicted));
      return { status: "created", record: this.#record(id, created), evicted };
    });
  }

  async get(id: string): Promise<SessionRecord | undefined> {
    this.#assertOpen();
    assertId(id);
    const { session } = await this.#finder.find(id);
    return session && this.#record(id, session);
  }

  async update(id: string, change: SessionChange, options: UpdateOptions = {}): Promise<UpdateResult> {
    this.#assertOpen();
    assertId(id);
    assertChange(change, options, this.capabilities);
    const evicted: string[] = [];
    return retried(async () => {
      const found = await this.#finder.find(id, change.userId ?? undefined);
      const { session } = found;
      if (session === undefined) return { status: "missing" };
      if (session.claimedUntil !== undefined) return this.#endClaim(id, found, session.claimedUntil);
      if (isConflict(session, options)) return { status: "conflict", current: this.#record(id, session) };
      const changed = this.#changed(session, change);
      if (changed.userId !== session.userId) return this.#move(id, found, session, changed, options, evicted);
      const isSaved = changed === session || (await this.#save(id, found, changed));
      return isSaved ? { status: "updated", record: this.#record(id, changed), evicted } : undefined;
    });
  }

  async touch(id: string, options: TouchOptions): Promise<boolean> {
    this.#assertOpen();
    assertTouch(id, options);
    return retried(async () => {
      const found = await this.#finder.find(id);
      const { session } = found;
      if (session === undefined) return false;
      if (session.claimedUntil !== undefined) return this.#endClaim(id, found, session.claimedUntil);
      const now = this.#clock.now();
      const deadline = Math.min(now + options.idleMs, session.endsAt);
      const expiresAt = options.shorten === true ? deadline : Math.max(deadline, session.expiresAt);
      const lastActiveAt = Math.max(now, session.lastActiveAt);
      // Not memcached's own touch: it leaves the token, so that a save begun before would put the old deadline back.
      return (await this.#save(id, found, { ...session, expiresAt, lastActiveAt })) || undefined;
    });
  }

  /**
   * The old record is claimed, so that nothing else moves it; the new one is stored; then one write decides. Where the
   * user stays that is the exchange of the two in the user's item, otherwise the removal of the old from where it is alive.
   */
  async rename(
    id: string,
    newId: string,
    change: SessionChange = {},
    options: RenameOptions = {},
  ): Promise<RenameResult> {
    this.#assertOpen();
    assertId(id);
    assertId(newId, "newId");
    assertChange(change, options, this.capabilities);
    const evicted: string[] = [];
    return retried(async () => {
      const [found, occupant] = await Promise.all([
        this.#finder.find(id, change.userId ?? undefined),
        this.#finder.find(newId),
      ]);
      const { session, slot } = found;
      if (session === undefined) return { status: "missing" };
      if (session.claimedUntil !== undefined) return this.#endClaim(id, found, session.claimedUntil);
      if (isConflict(session, options)) return { status: "conflict", current: this.#record(id, session) };
      if (id === newId || occupant.session !== undefined) {
        return (await this.#isAlive(id, session)) ? { status: "duplicate" } : undefined;
      }
      if (occupant.isPending) return undefined;

      const now = this.#clock.now();
      const renamed = { ...this.#changed(session, change), nonce: newNonce(), pendingUntil: now + claimMs };
      const claiming = this.#items.saveSession(slot, { ...session, claimedUntil: now + claimMs });
      // The record of a user's session is dead until the user's item names it. An anonymous one lives at once.
      if (renamed.userId === undefined && (await claiming) === undefined) return undefined;
      const [claimed, stored] = await Promise.all([claiming, this.#items.saveSession(occupant.slot, renamed)]);
      if (claimed !== undefined && stored !== undefined) {
        const outcome = await this.#exchange(found, claimed, memberOf(newId, renamed), renamed, options, evicted);
        if (outcome === "renamed") {
          this.#finder.forget(id);
          return { status: "renamed", record: this.#record(newId, renamed), evicted };
        }
        await Promise.all([this.#items.remove(stored), this.#items.saveSession(claimed, session)]);
        return outcome && { status: outcome };
      }
      if (stored !== undefined) await this.#items.remove(stored);
      if (claimed !== undefined) await this.#items.saveSession(claimed, session);
      return undefined;
    });
  }

  async destroy(id: string): Promise<EndedSession | undefined> {
    this.#assertOpen();
    assertId(id);
    const ended = await retried(async () => {
      const { session, slot, users } = await this.#finder.find(id);
      if (session === undefined) return { userId: undefined, isEnded: false };
      const { userId, nonce, claimedUntil } = session;
      const place = { id, nonce };
      if (userId !== undefined && claimedUntil !== undefined) {
        // The rename that claimed it decides in the user's item: so does this.
        const isEnded = await this.#memberships.leave(userId, place, users.get(userId));
        if (isEnded) await committed(this.#memberships.bury(userId, [memberOf(id, session)]));
        return { userId, isEnded };
      }
      // Whatever else changes the session writes its record, or needs it: only one can be first.
      if (!(await this.#items.remove(slot))) return undefined;
      if (userId !== undefined) await committed(this.#memberships.leave(userId, place, users.get(userId)));
      return { userId, isEnded: true };
    });
    this.#finder.forget(id);
    return ended.isEnded ? { id, userId: ended.userId } : undefined;
  }

  async listByUser(userId: string, { onCorrupt }: ReadManyOptions = {}): Promise<SessionRecord[]> {
    this.#assertOpen();
    assertId(userId, "userId");
    await this.#clockIsReady();
    const records: SessionRecord[] = [];
    for (const { member, state, slot, error } of await this.#memberships.list(userId)) {
      if (error !== undefined) onCorrupt?.(error);
      if (state === "live" && slot?.value !== undefined) records.push(this.#record(member.id, slot.value));
    }
    return records.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }

  async destroyByUser(userId: string, { except }: DestroyByUserOptions = {}): Promise<string[]> {
    this.#assertOpen();
    assertId(userId, "userId");
    if (except !== undefined) assertId(except, "except");
    await this.#clockIsReady();
    const removed = await this.#memberships.empty(userId, except);
    return committed(this.#memberships.bury(userId, removed));
  }

  /** Removes nothing: memcached does. */
  async sweep(options: SweepOptions): Promise<EndedSession[]> {
    this.#assertOpen();
    assertSweep(options);
    return [];
  }

  /** @throws SessionError `NOT_SUPPORTED` at the first step */
  // biome-ignore lint/correctness/useYield: memcached cannot list its keys
  async *scan(options: ScanOptions = {}): AsyncIterable<SessionRecord> {
    this.#assertOpen();
    assertScan(options);
    throw notSupported("scan");
  }

  /** @throws SessionError `NOT_SUPPORTED` */
  async count(): Promise<SessionCounts> {
    this.#assertOpen();
    throw notSupported("count");
  }

  async clear(): Promise<void> {
    this.#assertOpen();
    await this.#items.beginAnew();
  }

  async close(): Promise<void> {
    this.#wire.close();
    this.#disconnect();
    this.#disconnect = () => {};
  }

  /** Whether a session is still there, so that a refusal and its reason were true at the same moment. */
  async #isAlive(id: string, { nonce, version }: StoredSession): Promise<boolean> {
    const { session } = await this.#finder.find(id);
    return session?.nonce === nonce && session.version === version && session.claimedUntil === undefined;
  }

  /**
   * Lets a rename go on while its time runs, and afterwards ends its claim: first in the user's item, so that it can no
   * longer take, then in the record. Either way the caller looks again.
   */
  async #endClaim(id: string, { slot, users, session }: Found, claimedUntil: number): Promise<undefined> {
    if (session === undefined || this.#clock.now() < claimedUntil) return;
    const { userId, nonce } = session;
    if (userId !== undefined && !(await this.#memberships.endClaims(userId, { id, nonce }, users.get(userId)))) return;
    await this.#items.saveSession(slot, { ...session, claimedUntil: undefined });
  }

  /** Saves a session whose user stays, and keeps the user's item as long. */
  async #save(id: string, { slot, users }: Found, session: StoredSession): Promise<boolean> {
    const { userId, nonce, expiresAt } = session;
    const [saved] = await Promise.all([
      this.#items.saveSession(slot, session),
      userId !== undefined && this.#memberships.prolong(userId, { id, nonce }, expiresAt, users.get(userId)),
    ]);
    return saved !== undefined;
  }

  /**
   * Gives a session to another user: it is put into the new user's item and marked in the old one's; the record decides;
   * then it leaves the old one's. `undefined`: another writer was faster.
   */
  async #move(
    id: string,
    { slot, users }: Found,
    session: StoredSession,
    changed: StoredSession,
    { limit }: UpdateOptions,
    evicted: string[],
  ): Promise<UpdateResult | undefined> {
    const moved = { ...changed, nonce: newNonce() };
    const [from, to] = [session.userId, moved.userId];
    const place = { id, nonce: session.nonce };
    const member = { ...memberOf(id, moved), isMoving: true };
    const [joined, isMarked] = await Promise.all([
      to === undefined ? undefined : this.#memberships.join(to, member, { limit }, users.get(to)),
      from === undefined || this.#memberships.mark(from, place, users.get(from)),
    ]);
    if (joined !== undefined && joined.status !== "joined") {
      return (await this.#isAlive(id, session)) ? { status: "limitReached" } : undefined;
    }
    if (to !== undefined && joined !== undefined) {
      evicted.push(...(await committed(this.#memberships.bury(to, joined.evicted))));
    }
    if (!isMarked || (await this.#items.saveSession(slot, moved)) === undefined) {
      if (to !== undefined) await this.#memberships.leave(to, member);
      return undefined;
    }
    if (from !== undefined) await committed(this.#memberships.leave(from, place));
    return { status: "updated", record: this.#record(id, moved), evicted };
  }

  /** The deciding part of a rename. Unless it answers `renamed`, the new record is not alive; `undefined`: begin anew. */
  async #exchange(
    { users, session, member }: Found,
    claimed: SessionSlot,
    successor: Member,
    { userId }: StoredSession,
    { limit }: RenameOptions,
    evicted: string[],
  ): Promise<"renamed" | "limitReached" | undefined> {
    const from = session?.userId;
    const isStaying = userId === from;
    if (userId !== undefined && !isStaying) {
      const joined = await this.#memberships.join(userId, successor, { limit }, users.get(userId));
      if (joined.status !== "joined") return "limitReached";
      evicted.push(...(await committed(this.#memberships.bury(userId, joined.evicted))));
    }
    if (from === undefined || member === undefined) {
      if (await this.#items.remove(claimed)) return "renamed";
    } else if (await this.#memberships.replace(from, member, isStaying ? successor : undefined, users.get(from))) {
      await committed(this.#items.remove(claimed));
      return "renamed";
    }
    if (userId !== undefined && !isStaying) await this.#memberships.leave(userId, successor);
    return undefined;
  }

  #changed(session: StoredSession, { payload, userId, idleMs }: SessionChange): StoredSession {
    if (payload === undefined && userId === undefined && idleMs === undefined) return session;
    const now = this.#clock.now();
    return {
      ...session,
      payload: payload ?? session.payload,
      userId: userId === undefined ? session.userId : (userId ?? undefined),
      version: payload === undefined && userId === undefined ? session.version : session.version + 1,
      lastActiveAt: idleMs === undefined ? session.lastActiveAt : Math.max(now, session.lastActiveAt),
      expiresAt: idleMs === undefined ? session.expiresAt : Math.min(now + idleMs, session.endsAt),
    };
  }

  #clockIsReady(): Promise<void> {
    return this.#clock.ready(() => readSeconds(this.#wire));
  }

  #record(id: string, session: StoredSession): SessionRecord {
    const { userId, payload, version, createdAt, lastActiveAt, expiresAt, endsAt } = session;
    // Alive for up to a second after its deadline, and still no reader shall take it for expired.
    const now = Math.min(this.#clock.now(), expiresAt - 1);
    return { id, userId, payload, version, createdAt, lastActiveAt, expiresAt, endsAt, now };
  }

  #assertOpen(): void {
    this.#wire.assertOpen();
  }
}

function disconnect(client: MemjsClient): void {
  client.close();
  // What is under way may still be answered, but a server that hangs shall not keep the process alive.
  for (const server of client.servers) server._socket?.unref();
}

/** Runs `attempt` until another writer is not faster. */
async function retried<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  const startedAt = performance.now();
  for (let count = 0; ; count++) {
    const result = await attempt();
    if (result !== undefined) return result;
    if (performance.now() - startedAt > contentionMs) throw contention();
    await backOff(count);
  }
}

/** What follows the write that decides: when it fails, the caller has to know that the operation may have succeeded. */
async function committed<T>(rest: Promise<T>): Promise<T> {
  try {
    return await rest;
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    throw new SessionError(error.code, error.message, { cause: error, outcomeUnknown: true });
  }
}

/** The time of the first server that tells it. All of them should keep the same. */
async function readSeconds(wire: Wire): Promise<number> {
  let failure: unknown;
  for (const server of wire.servers) {
    try {
      return Number((await wire.stats(server, "")).get("time"));
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function isConflict({ version }: StoredSession, { expectedVersion }: UpdateOptions): boolean {
  return expectedVersion !== undefined && expectedVersion !== version;
}

function memberOf(id: string, { nonce, createdAt, expiresAt }: StoredSession): Member {
  return { id, nonce, createdAt, expiresAt, isMoving: false, claimsEnded: 0 };
}

function newNonce(): string {
  return randomBytes(9).toString("base64url");
}

function notSupported(operation: string): SessionError {
  const message = `@sojourn/memcached: ${operation} is not supported: memcached cannot list its keys`;
  return new SessionError("NOT_SUPPORTED", message);
}
