import type { StandardSchemaV1 } from "@standard-schema/spec";
import { isSessionError, SessionError, type SessionErrorDetails } from "../contract/errors.js";
import type { SessionRecord } from "../contract/store.js";
import { cloneFrozenJson } from "./clone-frozen-json.js";
import { type CodecContext, decodeContent, encodeContent, encodeError, jsonCodec, type SessionCodec } from "./codec.js";
import {
  assertContent,
  type EncodedContent,
  isContent,
  isObject,
  type SessionContent,
  type SessionState,
  stateOf,
} from "./content.js";
import { contentText } from "./content-text.js";
import { DecodedContents } from "./decoded-contents.js";
import { type DeepReadonly, deepFreeze } from "./freeze.js";
import { validateData } from "./schema.js";
import type { SessionData, UpgradeFunction } from "./session-data.js";

export interface FormatOptions {
  readonly codec: SessionCodec;
  readonly schema: StandardSchemaV1 | undefined;
  readonly schemaVersion: number;
  readonly upgrade: UpgradeFunction<object> | undefined;
  readonly validateOnRead: boolean;
  readonly maxPayloadBytes: number;
}

/** Turns the content of sessions into payloads and back: codec, schema, and versions of the data. */
export class ContentFormat {
  readonly #options: FormatOptions;
  /**
   * Decoded contents, for JSON only. The result of another codec may depend on more than the payload, and decrypted
   * data must not stay in memory.
   */
  readonly #decoded: DecodedContents | undefined;
  /** Whether a read returns the parsed JSON unchanged: no other codec, no validation and no upgrade. */
  readonly #isPlainJson: boolean;

  constructor(options: FormatOptions) {
    const { codec, validateOnRead, upgrade } = options;
    this.#options = options;
    this.#decoded = codec === jsonCodec ? new DecodedContents() : undefined;
    this.#isPlainJson = codec === jsonCodec && !validateOnRead && upgrade === undefined;
  }

  /**
   * Encodes a content and checks that the payload can be decoded again. All errors of a payload appear here, before it
   * is sent.
   *
   * @param base - the content that this one was made from, as read or written: unchanged parts are shared
   * @throws SessionError `INVALID_DATA`, `ENCODE`, `PAYLOAD_TOO_LARGE`
   */
  async encode(content: SessionContent, context: CodecContext, base?: SessionContent): Promise<EncodedContent> {
    assertContent(content);
    const own = ownContent(content, context);
    const { codec, schema, schemaVersion } = this.#options;
    const stored = schema === undefined && schemaVersion === 1 ? own : await this.#toStored(own);
    const written = this.#isPlainJson ? this.#encodeJson(stored, context, base) : undefined;
    if (written !== undefined) return written;
    const payload = await encodeContent(codec, stored, context);
    this.#assertFits(payload);
    try {
      return { payload, content: await this.#fromPayload(payload, context) };
    } catch (cause) {
      if (isSessionError(cause) && cause.code !== "DECODE") throw cause;
      const message = "@sojourn/core: session data cannot be encoded: its payload would not be readable";
      throw new SessionError("ENCODE", message, { cause });
    }
  }

  /** Returns the result of {@link decode} at once, if this payload was decoded or written before. */
  known(record: SessionRecord): SessionState | undefined {
    const content = this.#decoded?.find(record.id, record.payload);
    return content && stateOf(record, content, performance.now());
  }

  /** @throws SessionError `DECODE`; a `SessionError` of a codec, a schema or `upgrade` passes unchanged */
  async decode(record: SessionRecord, isOneOfMany = false): Promise<SessionState> {
    const readAt = performance.now();
    return this.known(record) ?? stateOf(record, await this.#fromPayload(record.payload, record, isOneOfMany), readAt);
  }

  /** Drops the cached content of a session that has ended. */
  forget(id: string): void {
    this.#decoded?.forget(id);
  }

  /**
   * Encodes by JSON, and computes the result of decoding without parsing the text: parsing is the largest part of a
   * write. Returns `undefined` where only JSON can tell the result.
   */
  #encodeJson(written: SessionContent, { id }: CodecContext, base?: SessionContent): EncodedContent | undefined {
    try {
      const content = cloneFrozenJson(written, base);
      if (content === undefined) return undefined;
      const text = base && contentText(content, base, this.#decoded?.textOf(id, base));
      const payload = text?.payload ?? JSON.stringify(content);
      this.#assertFits(payload);
      this.#decoded?.keep(id, payload, content, text?.ends);
      return { payload, content };
    } catch (cause) {
      throw isSessionError(cause) ? cause : encodeError(cause);
    }
  }

  #assertFits(payload: string): void {
    const { maxPayloadBytes } = this.#options;
    // A UTF-16 unit becomes at most three bytes: a short payload fits without a count.
    if (payload.length * 3 <= maxPayloadBytes) return;
    const bytes = Buffer.byteLength(payload);
    if (bytes <= maxPayloadBytes) return;
    const message = `@sojourn/core: a session of ${bytes} bytes exceeds "maxPayloadBytes" of ${maxPayloadBytes}`;
    throw new SessionError("PAYLOAD_TOO_LARGE", message);
  }

  async #toStored(content: SessionContent): Promise<SessionContent> {
    const { schema, schemaVersion } = this.#options;
    const data = schema === undefined ? content.data : await validateData(schema, content.data);
    // Version 1 is left out, so that payloads of an application without versions count as version 1.
    return { ...content, data, ...(schemaVersion !== 1 && { schemaVersion }) };
  }

  async #fromPayload(payload: string, context: CodecContext, isOneOfMany = false): Promise<SessionContent> {
    const content = await decodeContent(this.#options.codec, payload, context);
    if (!isContent(content)) throw unreadable(context, "it is not a session's content");
    const { schemaVersion, validateOnRead } = this.#options;
    const { schemaVersion: from = 1 } = content;
    if (from === schemaVersion && !validateOnRead) {
      // A walk over all sessions must not evict the contents that requests use.
      if (!isOneOfMany) this.#decoded?.keep(context.id, payload, content);
      return content;
    }
    try {
      return await this.#renew(content, from, context);
    } catch (cause) {
      if (isSessionError(cause) && cause.code !== "INVALID_DATA") throw cause;
      // The error of an application's function may quote a value: it stays in the cause.
      throw unreadable(context, `its data, of schema version ${from}, was refused by "upgrade" or the schema`, {
        cause,
      });
    }
  }

  /** Upgrades and validates stored data for this version of the application. */
  async #renew(content: SessionContent, from: number, context: CodecContext): Promise<SessionContent> {
    const { schema, schemaVersion, upgrade } = this.#options;
    if (from > schemaVersion) {
      throw unreadable(context, `it has schema version ${from}, and this manager reads up to ${schemaVersion}`);
    }
    let data: unknown = content.data;
    if (from < schemaVersion) {
      if (upgrade === undefined) {
        throw unreadable(context, `it has schema version ${from} of ${schemaVersion}, and no "upgrade" is set`);
      }
      // Every release stores a JSON object.
      data = await upgrade(content.data as DeepReadonly<SessionData>, from);
    }
    if (schema !== undefined) data = await validateData(schema, data);
    if (data === content.data) return content;
    if (!isObject(data)) throw unreadable(context, '"upgrade" must return an object');
    // A copy: defaults that the application holds elsewhere must not be frozen with it.
    return deepFreeze({ ...content, data: structuredClone(data) });
  }
}

/** Removes the proof of authentication that belongs to another user. */
function ownContent(content: SessionContent, { userId }: CodecContext): SessionContent {
  const { authenticated, ...rest } = content;
  return authenticated === undefined || authenticated.userId === userId ? content : rest;
}

function unreadable({ id }: CodecContext, reason: string, details?: SessionErrorDetails): SessionError {
  return new SessionError("DECODE", `@sojourn/core: the payload of session ${id} cannot be read: ${reason}`, details);
}
