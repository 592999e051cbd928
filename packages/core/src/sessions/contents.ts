import type { CodecContext } from "../content/codec.js";
import type { EncodedContent, SessionContent, SessionState } from "../content/content.js";
import type { ContentFormat } from "../content/content-format.js";
import { answerUnreadable, type UnreadablePolicy } from "../content/unreadable.js";
import { isSessionError } from "../contract/errors.js";
import type { SessionRecord } from "../contract/store.js";
import type { Detection } from "./detection.js";
import type { EventHub } from "./events.js";
import { TickMemo } from "./tick-memo.js";

/** Encodes and decodes the contents of sessions. A session that cannot be read becomes an `error` and a `security` event. */
export class Contents {
  readonly #format: ContentFormat;
  readonly #onUnreadable: UnreadablePolicy;
  readonly #events: EventHub;
  readonly #detection: Detection;
  /** By record: callers who read one session in one tick share its record, and decode it once. */
  readonly #decoding = new TickMemo<SessionRecord, SessionState>();

  constructor(format: ContentFormat, onUnreadable: UnreadablePolicy, events: EventHub, detection: Detection) {
    this.#format = format;
    this.#onUnreadable = onUnreadable;
    this.#events = events;
    this.#detection = detection;
  }

  /** @throws SessionError `INVALID_DATA`, `ENCODE`, `PAYLOAD_TOO_LARGE` */
  encode(content: SessionContent, context: CodecContext, base?: SessionContent): Promise<EncodedContent> {
    return this.#format.encode(content, context, base);
  }

  /** Returns the state of a record at once, where this process has decoded the same payload before. */
  known(record: SessionRecord): SessionState | undefined {
    return this.#format.known(record);
  }

  /** @throws SessionError `DECODE` */
  read(record: SessionRecord, operation: string): SessionState | Promise<SessionState> {
    return this.#format.known(record) ?? this.#decoding.of(record, () => this.#decode(record, operation, false));
  }

  /** As {@link Contents.read}, but `undefined` where the manager's `onUnreadable` says `missing`. */
  async readOrMissing(record: SessionRecord, operation: string): Promise<SessionState | undefined> {
    return answerUnreadable(this.#onUnreadable, Promise.resolve(this.read(record, operation)));
  }

  /**
   * Reads a record of a list or a walk. The cache keeps nothing of it.
   *
   * @throws SessionError `DECODE`
   */
  readOneOfMany(record: SessionRecord, operation: string): Promise<SessionState> {
    return this.#decode(record, operation, true);
  }

  /**
   * As {@link Contents.readOneOfMany}, but `undefined` for a session that cannot be read. While the keys of a session
   * are not available, it still rejects, because the session exists.
   */
  readOrReport(record: SessionRecord, operation: string): Promise<SessionState | undefined> {
    return answerUnreadable("missing", this.readOneOfMany(record, operation));
  }

  /** Drops the cached content of a session that has ended. */
  forget(id: string): void {
    this.#format.forget(id);
  }

  async #decode(record: SessionRecord, operation: string, isOneOfMany: boolean): Promise<SessionState> {
    try {
      return await this.#format.decode(record, isOneOfMany);
    } catch (error) {
      const { id, userId } = record;
      if (isSessionError(error)) this.#events.emit("error", { error, operation, id, userId });
      // One cause, such as a missing key, makes many sessions unreadable at once: they share one event.
      if (isSessionError(error, "DECODE")) this.#detection.report("unreadable", undefined, { id, userId });
      throw error;
    }
  }
}
