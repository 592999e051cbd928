import type { LocatedSession } from "@sojourn/core";
import { type BusMessage, type BusState, describe, isId, SessionError } from "@sojourn/core/adapter";
import { CheckQueue } from "./check-queue.js";
import { type ConnectedSession, Connection, type LiveConnection } from "./connection.js";
import { type LiveSessionsOptions, type ResolvedOptions, resolveOptions } from "./options.js";
import { isAllowedOrigin, type OriginHeaders } from "./origin.js";
import { type CloseReason, type LiveTransport, transportOf } from "./transports.js";
import { WatchedSession } from "./watched-session.js";

/** The counts of {@link LiveSessions.statistics}, of this process. */
export interface LiveStatistics {
  /** The connections that are open now. */
  readonly connections: number;
  /** The sessions of these connections. */
  readonly sessions: number;
  /** The connections that were closed, because their session ended or changed its user. */
  readonly closed: number;
  /** The connections that followed a regenerate to a new id. */
  readonly moved: number;
  /** The reads of sessions. */
  readonly checks: number;
  /** Whether the bus is up. */
  readonly isConnected: boolean;
}

/** The session of an `ended` event. */
export interface EndedEvent {
  readonly id: string;
}

/** The first delay before a read that failed is repeated, in milliseconds. It doubles with each failure, up to `maxStale`. */
const retryMs = 1_000;
/** The least delay of a check: a store may find a session for a moment after its deadline. */
const minDelayMs = 100;

/**
 * Closes WebSockets, socket.io sockets and event streams when their session ends in any process.
 *
 * Messages of the bus and events of the manager tell of ends and changes. The store decides in all other cases: a session is
 * read when a connection is added, at its deadline, after a change, after the bus was away, and every `maxStale`. These reads
 * are no activity. While the store does not answer, connections stay open, and the read is repeated.
 *
 * @example
 * ```ts
 * import { announceWrites, MemoryBus, SessionManager } from "@sojourn/core";
 * import { LiveSessions } from "@sojourn/live";
 * import { MemoryStore } from "@sojourn/memory";
 *
 * const bus = new MemoryBus();
 * const sessions = new SessionManager({ store: announceWrites(new MemoryStore(), bus) });
 * const live = new LiveSessions({ sessions, bus });
 * const { session } = await sessions.create({ userId: "42", data: {} });
 * live.add(session, ({ code, reason }) => console.log(code, reason)); // in place of a socket
 * await sessions.destroyByUser("42"); // 4401 ended
 * ```
 */
export class LiveSessions {
  readonly #options: ResolvedOptions;
  /** The sessions with connections, by id. */
  readonly #sessions = new Map<string, WatchedSession>();
  readonly #checks = new CheckQueue<WatchedSession>((session) => this.#check(session));
  readonly #listeners = new Set<{ readonly call: (event: EndedEvent) => void }>();
  readonly #unsubscribe: readonly (() => void)[];
  #isClosed = false;
  #isConnected = false;
  #connections = 0;
  #closed = 0;
  #moved = 0;
  #checked = 0;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: LiveSessionsOptions) {
    this.#options = resolveOptions(options);
    const { sessions, bus } = this.#options;
    // This process's own ends need no bus.
    this.#unsubscribe = [
      sessions.on("destroyed", ({ id }) => this.#close(id, "ended")),
      sessions.on("expired", ({ id }) => this.#close(id, "expired")),
      sessions.on("regenerated", ({ previousId, id }) => this.#move(previousId, id)),
      sessions.on("updated", ({ id, userId }) => this.#compareUser(id, userId)),
      bus.subscribe({ message: (message) => this.#heard(message), state: (state) => this.#turned(state) }),
    ];
  }

  /**
   * Closes a connection when its session ends or changes its user. Then a WebSocket is closed with the code 4401; a stream gets
   * a last event `session-closed` and ends; a socket.io socket gets this event and is disconnected. A peer that does not
   * answer is cut off after a second. A connection that closes by itself is removed.
   *
   * Reads the session at once: it may have ended since the request was authenticated.
   *
   * @throws SessionError `INVALID_ARGUMENT`, and `CLOSED` after {@link LiveSessions.close}; the connection is not watched then
   */
  add(session: ConnectedSession, connection: LiveTransport): LiveConnection {
    if (this.#isClosed) throw new SessionError("CLOSED", "@sojourn/live: add: the live sessions are closed");
    if (!isId(session?.id)) {
      const message = "@sojourn/live: add: the session has no id; it must be stored, and must not have ended";
      throw new SessionError("INVALID_ARGUMENT", message);
    }
    const transport = transportOf(connection);
    const added = new Connection(session, transport, (removed) => this.#forget(removed));
    this.#connections++;
    this.#checks.add(this.#watch(added));
    // It may have closed while its request was authenticated.
    if (!transport.isOpen) added.remove();
    return added;
  }

  /**
   * Whether the `Origin` header of a request permits a connection. Check it before the session: browsers send cookies with the
   * WebSockets of any site's pages. A request without the header is allowed, because browsers always name another site.
   *
   * @example
   * ```ts continued
   * const headers = { host: "shop.example", origin: "https://evil.example" };
   * console.log(live.isAllowedOrigin({ headers })); // false
   * ```
   */
  isAllowedOrigin(request: OriginHeaders): boolean {
    return isAllowedOrigin(request, this.#options.origins);
  }

  /**
   * Subscribes to the ends of all sessions that the bus tells of, in this process and others, with or without connections. It
   * does not tell of expiry, nor of ends while the bus is down. An error of a listener becomes a process warning.
   *
   * @returns a function that ends the subscription
   * @example
   * ```ts continued
   * live.on("ended", ({ id }) => console.log("ended", id));
   * ```
   */
  on(event: "ended", listener: (event: EndedEvent) => void): () => void {
    if (event !== "ended") {
      throw new SessionError(
        "INVALID_ARGUMENT",
        `@sojourn/live: on: the event is "ended", received ${describe(event)}`,
      );
    }
    // One object for each call: two subscriptions of one listener end independently.
    const subscription = { call: listener };
    this.#listeners.add(subscription);
    return () => {
      this.#listeners.delete(subscription);
    };
  }

  /**
   * Returns the counts of this process.
   *
   * @example
   * ```ts continued
   * console.log(live.statistics().connections); // 0
   * ```
   */
  statistics(): LiveStatistics {
    return {
      connections: this.#connections,
      sessions: this.#sessions.size,
      closed: this.#closed,
      moved: this.#moved,
      checks: this.#checked,
      isConnected: this.#isConnected,
    };
  }

  /**
   * Stops watching. Connections stay open: they close with their server. Idempotent.
   *
   * @example
   * ```ts continued
   * live.close();
   * await sessions.close();
   * await bus.close();
   * ```
   */
  close(): void {
    this.#isClosed = true;
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#listeners.clear();
    for (const { connections } of this.#sessions.values()) for (const connection of connections) connection.remove();
  }

  #heard(message: BusMessage): void {
    switch (message.kind) {
      case "ended":
        for (const id of message.ids) {
          this.#close(id, "ended");
          this.#tell({ id });
        }
        break;
      case "renamed":
        this.#move(message.id, message.newId);
        break;
      case "changed": {
        const session = this.#sessions.get(message.id);
        if (session !== undefined) this.#checks.add(session);
        break;
      }
      case "cleared":
        this.#checkAll();
        break;
    }
  }

  #turned(state: BusState): void {
    this.#isConnected = state !== "down";
    // Messages were lost.
    if (this.#isConnected) this.#checkAll();
  }

  #checkAll(): void {
    for (const session of this.#sessions.values()) this.#checks.add(session);
  }

  /** Compares the connections of a session with the store. */
  async #check(session: WatchedSession): Promise<void> {
    // Those added meanwhile wait for a check of their own.
    const asked = [...session.connections];
    if (asked.length === 0) return;
    this.#checked++;
    let found: LocatedSession | undefined;
    try {
      found = await this.#options.sessions.byId.locate(session.id);
    } catch {
      // The manager has emitted an `error` event.
      this.#checkAfter(session, retryMs * 2 ** session.failures++);
      return;
    }
    session.failures = 0;
    // Connections that followed a regenerate meanwhile are not concerned.
    const concerned = asked.filter((connection) => session.connections.has(connection));
    if (found === undefined) return this.#closeAll(concerned, session.isOverdue ? "expired" : "ended");
    if (found.id !== session.id) return this.#move(session.id, found.id);
    const { userId, remainingMs } = found;
    this.#closeAll(
      concerned.filter((connection) => connection.userId !== userId),
      "userChanged",
    );
    session.setDeadline(remainingMs);
    this.#checkAfter(session, remainingMs + 1);
  }

  #checkAfter(session: WatchedSession, delayMs: number): void {
    if (session.connections.size === 0) return;
    const { maxStaleMs } = this.#options;
    session.checkAfter(Math.min(Math.max(delayMs, minDelayMs), maxStaleMs), () => this.#checks.add(session));
  }

  /**
   * Moves the connections of a regenerated session. Its user may have changed: the socket of a visitor, opened perhaps by an
   * attacker who planted the token, must not pass to the user who logs in.
   */
  #move(id: string, newId: string): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    for (const connection of session.connections) {
      this.#unwatch(connection);
      connection.id = newId;
      this.#moved++;
      this.#checks.add(this.#watch(connection));
    }
  }

  #compareUser(id: string, userId: string | undefined): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    const isOther = (connection: Connection): boolean => connection.userId !== userId;
    if ([...session.connections].some(isOther)) this.#checks.add(session);
  }

  #close(id: string, reason: CloseReason): void {
    const session = this.#sessions.get(id);
    if (session !== undefined) this.#closeAll([...session.connections], reason);
  }

  #closeAll(connections: readonly Connection[], reason: CloseReason): void {
    for (const connection of connections) {
      this.#closed++;
      connection.close(reason);
    }
  }

  #watch(connection: Connection): WatchedSession {
    const { id } = connection;
    const session = this.#sessions.get(id) ?? new WatchedSession(id);
    this.#sessions.set(id, session);
    session.connections.add(connection);
    return session;
  }

  #unwatch(connection: Connection): void {
    const session = this.#sessions.get(connection.id);
    session?.connections.delete(connection);
    if (session?.connections.size !== 0) return;
    session.stop();
    this.#sessions.delete(connection.id);
  }

  #forget(connection: Connection): void {
    this.#connections--;
    this.#unwatch(connection);
  }

  #tell(event: EndedEvent): void {
    for (const { call } of this.#listeners) {
      try {
        call(event);
      } catch (error) {
        const message = error instanceof Error ? error.message : typeof error;
        process.emitWarning(`@sojourn/live: a listener of "ended" failed: ${message}`);
      }
    }
  }
}
