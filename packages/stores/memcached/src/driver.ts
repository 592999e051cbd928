import type {
  Call,
  CreateResult,
  EndedSession,
  NewSession,
  Read,
  SessionLimit,
  SessionRecord,
  StoreCapabilities,
  StoreDriver,
  Touch,
  Write,
  WriteOutcome,
} from "@sojourn/core/adapter";
import { untilWon } from "./contention.js";
import { Creation } from "./creation.js";
import { classify } from "./errors.js";
import type { Exchange } from "./exchange.js";
import { Finder, type LiveSession } from "./finder.js";
import { expiryPrecisionMs, Items, sessionOverheadBytes } from "./items.js";
import { Memberships } from "./memberships.js";
import type { MemjsClient } from "./memjs.js";
import { type MoveResult, Moves } from "./moves.js";
import type { ResolvedOptions } from "./options.js";
import type { StoredSession } from "./record.js";
import { Records } from "./records.js";
import { type ServerClock, sharedClock } from "./server-clock.js";
import { changedSession, newNonce, pendingUntil, toRecord } from "./session.js";
import { Survey } from "./survey.js";
import { Wire } from "./wire.js";

/** Sessions in memcached. The README says how the items work together. */
export class MemcachedDriver implements StoreDriver {
  readonly name = "@sojourn/memcached";
  readonly capabilities: StoreCapabilities;
  readonly timeoutMs: number;
  readonly #wire: Wire;
  readonly #items: Items;
  readonly #records: Records;
  readonly #survey: Survey;
  readonly #memberships: Memberships;
  readonly #moves: Moves;
  readonly #finder: Finder;
  readonly #creation: Creation;
  readonly #clock: ServerClock;
  /** Closed together with the store. */
  ownClient: MemjsClient | undefined;

  constructor(options: ResolvedOptions) {
    const { client, namespace, timeoutMs, maxItemBytes, maxSessionsPerUser } = options;
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
    this.timeoutMs = timeoutMs;
    this.#wire = new Wire(client, timeoutMs, maxItemBytes);
    this.#clock = sharedClock(client.servers.map(({ host, port }) => `${host}:${port}`).join());
    this.#items = new Items(this.#wire, this.#clock, namespace, maxItemBytes);
    this.#records = new Records(this.#items, this.#clock, () => this.#wire.readSeconds());
    this.#survey = new Survey(this.#items, this.#records, this.#clock);
    this.#memberships = new Memberships(this.#items, this.#survey, maxSessionsPerUser);
    const stored = { items: this.#items, records: this.#records, memberships: this.#memberships, survey: this.#survey };
    const parts = { ...stored, clock: this.#clock };
    this.#moves = new Moves(parts);
    this.#finder = new Finder(parts);
    this.#creation = new Creation({ ...parts, moves: this.#moves, finder: this.#finder });
  }

  create(session: NewSession, limit: SessionLimit | undefined, call: Call): Promise<CreateResult> {
    return this.#untilWon(call, (exchange) => this.#creation.create(session, limit, exchange));
  }

  read(id: string, call: Call): Promise<SessionRecord | undefined> {
    return this.#run(call, async (exchange) => {
      const found = await this.#finder.find(id, undefined, exchange);
      return found.status === "live" ? this.#record(id, found.session) : undefined;
    });
  }

  write(write: Write, call: Call): Promise<WriteOutcome> {
    const { newId } = write;
    return this.#untilWon(call, (exchange) =>
      newId === undefined ? this.#update(write, exchange) : this.#rename(write, newId, exchange),
    );
  }

  touch({ id, idleMs, shorten }: Touch, call: Call): Promise<boolean> {
    return this.#untilWon(call, async (exchange) => {
      const found = await this.#finder.find(id, undefined, exchange);
      if (found.status !== "live") return false;
      const { session } = found;
      if (this.#isClaimed(session)) return undefined;
      const now = this.#clock.now();
      const deadline = Math.min(now + idleMs, session.endsAt);
      const expiresAt = shorten ? deadline : Math.max(deadline, session.expiresAt);
      const lastActiveAt = Math.max(now, session.lastActiveAt);
      // Not memcached's own touch: it keeps the token, so a save that began before would put the old deadline back.
      return (await this.#save(id, found, { ...session, expiresAt, lastActiveAt }, exchange)) || undefined;
    });
  }

  async destroy(id: string, call: Call): Promise<EndedSession | undefined> {
    const { ended } = await this.#untilWon(call, async (exchange) => {
      const found = await this.#finder.find(id, undefined, exchange);
      if (found.status !== "live") return { ended: undefined };
      const { slot, users } = found;
      const { userId, nonce } = found.session;
      if (this.#isClaimed(found.session)) return undefined;
      const place = { id, nonce };
      if (userId !== undefined) await this.#memberships.fulfil(userId, place, exchange, users.get(userId));
      // Each other change of the session writes its record too: only one can be first.
      if (!(await this.#items.remove(slot, exchange))) return undefined;
      exchange.hasDecided = true;
      if (userId !== undefined) await this.#memberships.leave(userId, place, exchange, users.get(userId));
      return { ended: { id, userId } };
    });
    this.#finder.forget(id);
    return ended;
  }

  listByUser(userId: string, call: Call): Promise<readonly Read[]> {
    return this.#run(call, async (exchange) => {
      const reads: Read[] = [];
      for (const survey of await this.#memberships.list(userId, exchange)) {
        if (survey.status === "corrupt") reads.push(survey.error);
        if (survey.status === "live") reads.push(this.#record(survey.member.id, survey.session));
      }
      return reads.sort(byAge);
    });
  }

  destroyByUser(userId: string, except: string | undefined, call: Call): Promise<string[]> {
    return this.#run(call, async (exchange) => {
      const ordered = await this.#memberships.order(userId, except, exchange);
      exchange.hasDecided = ordered.length > 0;
      return this.#survey.end(userId, ordered, exchange);
    });
  }

  async clear(_from: unknown, call: Call): Promise<void> {
    await this.#run(call, (exchange) => this.#items.rotateGeneration(exchange));
  }

  close(): void {
    this.#wire.close();
    this.ownClient?.close();
    // A request under way may still be answered, but a server that hangs must not keep the process alive.
    for (const server of this.ownClient?.servers ?? []) server._socket?.unref();
  }

  readonly classify: StoreDriver["classify"] = classify;

  async #update(write: Write, exchange: Exchange): Promise<WriteOutcome | undefined> {
    const { id, userId, expectedVersion } = write;
    const found = await this.#finder.find(id, userId ?? undefined, exchange);
    if (found.status !== "live") return { status: "missing" };
    const { session } = found;
    if (this.#isClaimed(session)) return undefined;
    if (expectedVersion !== undefined && expectedVersion !== session.version) {
      return { status: "conflict", current: this.#record(id, session) };
    }
    const changed = changedSession(session, write, this.#clock.now());
    if (changed.userId === session.userId) {
      const isWritten = changed === session || (await this.#save(id, found, changed, exchange));
      return isWritten ? { status: "written", record: this.#record(id, changed), evicted: [] } : undefined;
    }
    const moved = { ...changed, nonce: newNonce() };
    const until = pendingUntil(this.#clock.now(), exchange);
    const move = { from: { id, found }, to: { id, session: moved }, limit: write.limit, until };
    const result = await this.#moves.changeUser(move, exchange);
    return this.#moveOutcome(result, id, session, this.#record(id, moved), exchange);
  }

  async #rename(write: Write, newId: string, exchange: Exchange): Promise<WriteOutcome | undefined> {
    const { id, userId, expectedVersion } = write;
    const [found, target] = await Promise.all([
      this.#finder.find(id, userId ?? undefined, exchange),
      this.#finder.find(newId, undefined, exchange),
    ]);
    if (found.status !== "live") return { status: "missing" };
    const { session } = found;
    if (this.#isClaimed(session)) return undefined;
    if (expectedVersion !== undefined && expectedVersion !== session.version) {
      return { status: "conflict", current: this.#record(id, session) };
    }
    switch (target.status) {
      case "live":
        return (await this.#isUnchanged(id, session, exchange)) ? { status: "duplicate" } : undefined;
      case "pending":
        return undefined;
      case "moved":
        await this.#moves.heal(target.slot, exchange);
        return undefined;
      case "free":
        break;
    }
    const renamed = { ...changedSession(session, write, this.#clock.now()), nonce: newNonce() };
    const until = pendingUntil(this.#clock.now(), exchange);
    const move = { from: { id, found }, to: { id: newId, session: renamed }, limit: write.limit, until };
    const result = await this.#moves.rename(move, target.slot, exchange);
    if (result.status === "moved") this.#finder.forget(id);
    return this.#moveOutcome(result, id, session, this.#record(newId, renamed), exchange);
  }

  /** @returns `undefined`: begin again */
  async #moveOutcome(
    result: MoveResult,
    id: string,
    before: StoredSession,
    record: SessionRecord,
    exchange: Exchange,
  ): Promise<WriteOutcome | undefined> {
    switch (result.status) {
      case "moved":
        return { status: "written", record, evicted: result.evicted };
      case "limitReached":
        return (await this.#isUnchanged(id, before, exchange)) ? result : undefined;
      case "overtaken":
        return undefined;
    }
  }

  /** Whether a session is as it was read, so that a refusal and its reason are true at the same moment. */
  async #isUnchanged(id: string, { nonce, version }: StoredSession, exchange: Exchange): Promise<boolean> {
    const found = await this.#finder.find(id, undefined, exchange);
    return found.status === "live" && found.session.nonce === nonce && found.session.version === version;
  }

  /** Whether a rename of the release before holds the session. It ends soon, or its time does. */
  #isClaimed({ claimedUntil }: StoredSession): boolean {
    return claimedUntil !== undefined && this.#clock.now() < claimedUntil;
  }

  /** Saves a session that stays with its user, and keeps the user's item as long. */
  async #save(id: string, { slot, users }: LiveSession, session: StoredSession, exchange: Exchange): Promise<boolean> {
    const { userId, nonce, expiresAt } = session;
    const [saved] = await Promise.all([
      this.#items.saveSession(slot, session, exchange),
      userId !== undefined && this.#memberships.prolong(userId, { id, nonce }, expiresAt, exchange, users.get(userId)),
    ]);
    return saved !== undefined;
  }

  #record(id: string, session: StoredSession): SessionRecord {
    return toRecord(id, session, this.#clock.now());
  }

  #untilWon<Result>(call: Call, attempt: (exchange: Exchange) => Promise<Result | undefined>): Promise<Result> {
    return this.#run(call, (exchange) => untilWon(exchange, () => attempt(exchange)));
  }

  /** Runs an operation, and tells its errors whether it may have changed something. */
  async #run<Result>(call: Call, work: (exchange: Exchange) => Promise<Result>): Promise<Result> {
    const exchange = this.#wire.begin(call);
    try {
      return await work(exchange);
    } catch (error) {
      throw exchange.explain(error);
    }
  }
}

/** Oldest first; errors, which have no age, at the end. */
function byAge(a: Read, b: Read): number {
  if ("code" in a || "code" in b) return Number("code" in a) - Number("code" in b);
  return a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1);
}
