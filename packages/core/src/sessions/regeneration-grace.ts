import type { CallOptions } from "../contract/call.js";
import type { SessionRecord } from "../contract/store.js";
import type { Aliases } from "./aliases.js";
import type { StoreCalls } from "./store-calls.js";
import { tokenToId } from "./tokens.js";

/** The largest number of racing regenerations with grace; further ones have none. */
const maxCandidates = 8;
/** The largest number of regenerations within the grace after which the first id still finds the session. */
const maxHops = 3;

/**
 * Lets an old id find its session for a while after a regeneration, so that requests under way with the old token are
 * not logged out.
 *
 * The alias is written before the session is renamed. Its ids exist only if their rename has won, so an alias left by a
 * crash finds nothing. It contains no session, so a session that has ended stays ended. The grace counts from the
 * alias's creation, by the store's clock.
 */
export class RegenerationGrace {
  readonly #graceMs: number;
  readonly #aliases: Aliases;
  readonly #calls: StoreCalls;

  constructor(graceMs: number, aliases: Aliases, calls: StoreCalls) {
    this.#graceMs = graceMs;
    this.#aliases = aliases;
    this.#calls = calls;
  }

  /** Lets `oldId` find `newId`, if the rename that follows wins and the session still belongs to this user. */
  async announce(oldId: string, newId: string, userId: string, options: CallOptions): Promise<void> {
    const owner = ownerOf(userId);
    for (let attempt = 1; attempt <= maxCandidates; attempt++) {
      if (await this.#aliases.create(oldId, { owner, candidates: [newId] }, options)) return;
      // Another regeneration of this session is under way, or has failed within the grace.
      if (await this.#addCandidate(oldId, owner, newId, options)) return;
    }
  }

  /** Returns the session that had this id before its regeneration, while the grace lasts. */
  async find(oldId: string, options: CallOptions, hops: number = maxHops): Promise<SessionRecord | undefined> {
    const alias = await this.#aliases.get(oldId, options);
    // The alias lives on as a mark, and another process may allow a longer grace.
    if (alias === undefined || alias.now - alias.createdAt >= this.#graceMs) return undefined;
    const { owner, candidates } = await this.#aliases.read(alias);
    for (const id of candidates) {
      const session = (await this.#get(id, options)) ?? (hops > 1 ? await this.find(id, options, hops - 1) : undefined);
      if (session?.userId !== undefined && ownerOf(session.userId) === owner) return session;
    }
    return undefined;
  }

  /** Returns the session that has this id, or had it before its regeneration. */
  async current(id: string, options: CallOptions): Promise<SessionRecord | undefined> {
    return (await this.#get(id, options)) ?? (await this.find(id, options));
  }

  /** @returns false when the alias has changed or expired meanwhile */
  async #addCandidate(oldId: string, owner: string, newId: string, options: CallOptions): Promise<boolean> {
    const current = await this.#aliases.get(oldId, options);
    if (current === undefined) return false;
    const alias = await this.#aliases.read(current);
    // This regeneration then has no grace, which is safe.
    if (alias.owner !== owner || alias.candidates.length >= maxCandidates) return true;
    return this.#aliases.replace(current, { owner, candidates: [newId, ...alias.candidates] }, options);
  }

  #get(id: string, options: CallOptions): Promise<SessionRecord | undefined> {
    return this.#calls.get(id, undefined, options);
  }
}

function ownerOf(userId: string): string {
  return tokenToId(userId);
}
