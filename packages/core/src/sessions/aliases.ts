import { type CodecContext, decodeContent, encodeContent, type SessionCodec } from "../content/codec.js";
import { aliasPrefix, isAliasId } from "../contract/alias.js";
import type { CallOptions } from "../contract/call.js";
import { SessionError } from "../contract/errors.js";
import type { SessionRecord } from "../contract/store.js";
import type { StoreCalls } from "./store-calls.js";
import { tokenToId } from "./tokens.js";

/** The content of an alias. */
export interface Alias {
  /** The hash of the session's user. The alias finds no session of another user. Empty: it finds none. */
  readonly owner: string;
  /** The new ids of the regenerations under way, latest first. The id that exists is the one whose regeneration won. */
  readonly candidates: readonly string[];
}

/**
 * The records that a regeneration leaves in place of an old id: separate, anonymous, and never prolonged. They are no
 * sessions. See `docs/adr/0012-regeneration-with-grace.md`.
 */
export class Aliases {
  readonly #lifetimeMs: number;
  readonly #codec: SessionCodec;
  readonly #calls: StoreCalls;

  constructor(lifetimeMs: number, codec: SessionCodec, calls: StoreCalls) {
    this.#lifetimeMs = lifetimeMs;
    this.#codec = codec;
    this.#calls = calls;
  }

  /** @returns false when the old id has an alias already */
  async create(oldId: string, alias: Alias, call: CallOptions): Promise<boolean> {
    const id = aliasId(oldId);
    const payload = await this.#encode(alias, id);
    const lifetime = { idleMs: this.#lifetimeMs, absoluteMs: this.#lifetimeMs };
    const { status } = await this.#calls.create({ id, payload, ...lifetime }, {}, call);
    return status === "created";
  }

  get(oldId: string, call: CallOptions): Promise<SessionRecord | undefined> {
    return this.#calls.get(aliasId(oldId), undefined, call);
  }

  /** @throws SessionError `DECODE` */
  async read({ id, payload }: SessionRecord): Promise<Alias> {
    const content = await decodeContent(this.#codec, payload, aliasContext(id));
    if (isAlias(content)) return content;
    throw new SessionError("DECODE", `@sojourn/core: the payload of ${id} is not an alias`);
  }

  /** @returns false when the alias has changed or expired meanwhile */
  async replace({ id, version }: SessionRecord, alias: Alias, call: CallOptions): Promise<boolean> {
    const payload = await this.#encode(alias, id);
    const { status } = await this.#calls.update(id, { payload }, { expectedVersion: version }, call);
    return status === "updated";
  }

  #encode(alias: Alias, id: string): Promise<string> {
    return encodeContent(this.#codec, alias, aliasContext(id));
  }
}

/** Returns the sessions among stored records, which are aliases as well. */
export function sessionsOnly<Stored extends { readonly id: string }>(records: readonly Stored[]): Stored[] {
  return records.filter(({ id }) => !isAliasId(id));
}

function aliasId(oldId: string): string {
  // Hashed, because an id may be as long as the store allows.
  return aliasPrefix + tokenToId(oldId);
}

/** The context of an alias: an encrypting codec does not decrypt a forged alias, or one for another id. */
function aliasContext(id: string): CodecContext {
  return { id, userId: undefined };
}

function isAlias(content: unknown): content is Alias {
  if (typeof content !== "object" || content === null) return false;
  const { owner, candidates }: { readonly [Key in keyof Alias]?: unknown } = content;
  return typeof owner === "string" && Array.isArray(candidates) && candidates.every((id) => typeof id === "string");
}
