import { type CodecContext, decodeContent, encodeContent, type SessionCodec } from "../content/codec.js";
import type { CallOptions } from "../contract/call.js";
import { SessionError } from "../contract/errors.js";
import type { SessionRecord } from "../contract/store.js";
import type { StoreCalls } from "./store-calls.js";
import { tokenToId } from "./tokens.js";

/** The prefix of alias ids. Base64url has no colon, so no token has such an id. */
const aliasPrefix = "alias:";
/** The largest number of racing regenerations with grace; further ones have none. */
const maxCandidates = 8;
/** The largest number of regenerations within the grace after which the first id still finds the session. */
const maxHops = 3;

/** The content of an alias. */
interface Alias {
  /** The hash of the session's user. The alias finds no session of another user. */
  readonly owner: string;
  /** The new ids of the regenerations under way, latest first. The id that exists is the one whose regeneration won. */
  readonly candidates: readonly string[];
}

/**
 * Lets an old id find its session for a while after a regeneration, so that requests under way with the old token are
 * not logged out.
 *
 * An alias is a separate anonymous record, written before the session is renamed. Its ids exist only if their rename
 * has won, so an alias left by a crash finds nothing. It contains no session, so a session that has ended stays ended.
 * It lives as long as the grace, by the store's clock, and is never prolonged. See
 * `docs/adr/0012-regeneration-with-grace.md`.
 */
export class RegenerationGrace {
  readonly #graceMs: number;
  readonly #codec: SessionCodec;
  readonly #calls: StoreCalls;

  constructor(graceMs: number, codec: SessionCodec, calls: StoreCalls) {
    this.#graceMs = graceMs;
    this.#codec = codec;
    this.#calls = calls;
  }

  /** Lets `oldId` find `newId`, if the rename that follows wins and the session still belongs to this user. */
  async announce(oldId: string, newId: string, userId: string, options: CallOptions): Promise<void> {
    const id = aliasId(oldId);
    const owner = ownerOf(userId);
    for (let attempt = 1; attempt <= maxCandidates; attempt++) {
      const payload = await this.#encode({ owner, candidates: [newId] }, id);
      const lifetime = { idleMs: this.#graceMs, absoluteMs: this.#graceMs };
      const created = await this.#calls.create({ id, payload, ...lifetime }, {}, options);
      if (created.status === "created") return;
      // Another regeneration of this session is under way, or has failed within the grace.
      if (await this.#addCandidate(id, owner, newId, options)) return;
    }
  }

  /** Returns the session that had this id before its regeneration, while the grace lasts. */
  async find(oldId: string, options: CallOptions, hops: number = maxHops): Promise<SessionRecord | undefined> {
    const alias = await this.#get(aliasId(oldId), options);
    // The store may expire the alias late by its precision, and another process may allow a longer grace.
    if (alias === undefined || alias.now - alias.createdAt >= this.#graceMs) return undefined;
    const { owner, candidates } = await this.#decode(alias);
    for (const id of candidates) {
      const session = (await this.#get(id, options)) ?? (hops > 1 ? await this.find(id, options, hops - 1) : undefined);
      if (session?.userId !== undefined && ownerOf(session.userId) === owner) return session;
    }
    return undefined;
  }

  /** Returns the session that has this id, or had it before its regeneration. Asks the store past any copy. */
  async current(id: string, options: CallOptions): Promise<SessionRecord | undefined> {
    return (await this.#calls.get(id, { fresh: true }, options)) ?? (await this.find(id, options));
  }

  /** @returns false when the alias has changed or expired meanwhile */
  async #addCandidate(id: string, owner: string, newId: string, options: CallOptions): Promise<boolean> {
    const current = await this.#get(id, options);
    if (current === undefined) return false;
    const alias = await this.#decode(current);
    // This regeneration then has no grace, which is safe.
    if (alias.owner !== owner || alias.candidates.length >= maxCandidates) return true;
    const payload = await this.#encode({ owner, candidates: [newId, ...alias.candidates] }, id);
    const { status } = await this.#calls.update(id, { payload }, { expectedVersion: current.version }, options);
    return status === "updated";
  }

  #get(id: string, options: CallOptions): Promise<SessionRecord | undefined> {
    return this.#calls.get(id, undefined, options);
  }

  #encode(alias: Alias, id: string): Promise<string> {
    return encodeContent(this.#codec, alias, aliasContext(id));
  }

  async #decode({ id, payload }: SessionRecord): Promise<Alias> {
    const content = await decodeContent(this.#codec, payload, aliasContext(id));
    if (isAlias(content)) return content;
    throw new SessionError("DECODE", `@sojourn/core: the payload of ${id} is not an alias`);
  }
}

/** Returns the sessions among stored records, which are aliases as well. */
export function sessionsOnly<Stored extends { readonly id: string }>(records: readonly Stored[]): Stored[] {
  return records.filter(({ id }) => !id.startsWith(aliasPrefix));
}

function aliasId(oldId: string): string {
  // Hashed, because an id may be as long as the store allows.
  return aliasPrefix + tokenToId(oldId);
}

/** The context of an alias: an encrypting codec does not decrypt a forged alias, or one for another id. */
function aliasContext(id: string): CodecContext {
  return { id, userId: undefined };
}

function ownerOf(userId: string): string {
  return tokenToId(userId);
}

function isAlias(content: unknown): content is Alias {
  if (typeof content !== "object" || content === null) return false;
  const { owner, candidates }: { readonly [Key in keyof Alias]?: unknown } = content;
  return typeof owner === "string" && Array.isArray(candidates) && candidates.every((id) => typeof id === "string");
}
