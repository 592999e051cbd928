import { describe, SessionError } from "@sojourn/core/adapter";

/**
 * Why a connection was closed:
 *
 * - `ended`: its session was destroyed, or cannot be found any more;
 * - `expired`: its session's last known deadline has passed;
 * - `userChanged`: its session belongs to another user than when it was added.
 */
export type CloseReason = "ended" | "expired" | "userChanged";

/** The close code of a WebSocket, and the data of the last event of a stream and of a socket.io socket. */
export interface SessionClose {
  readonly code: 4401;
  readonly reason: CloseReason;
}

/** Closes a connection of any other kind. The application calls `remove` when the connection closes by itself. */
export type CloseFunction = (close: SessionClose) => void;

/** A WebSocket: of `ws`, of @fastify/websocket, or by the WHATWG standard. */
export interface WebSocketLike {
  readonly readyState: number;
  close(code?: number, reason?: string): void;
  /** Cuts the connection. `ws` has it. */
  terminate?(): void;
  addEventListener(type: "close", listener: () => void): void;
  removeEventListener(type: "close", listener: () => void): void;
}

/** A socket of a socket.io server. */
export interface SocketIoLike {
  readonly connected: boolean;
  emit(event: string, ...values: unknown[]): unknown;
  disconnect(close?: boolean): unknown;
  on(event: "disconnect", listener: () => void): unknown;
  off(event: "disconnect", listener: () => void): unknown;
}

/** The response of a stream of server-sent events, its head sent: of `node:http`, or Express. */
export interface EventStreamLike {
  readonly writableEnded: boolean;
  readonly destroyed?: boolean;
  write(text: string): unknown;
  end(): unknown;
  destroy?(): unknown;
  on(event: "close", listener: () => void): unknown;
  off(event: "close", listener: () => void): unknown;
}

/** The connections that can be closed with their session. */
export type LiveTransport = WebSocketLike | SocketIoLike | EventStreamLike | CloseFunction;

/** The one form of all kinds of connections. */
export interface Transport {
  readonly isOpen: boolean;
  close(close: SessionClose): void;
  /** Ends a connection whose peer does not answer the close. */
  cut?(): void;
  /** @returns a function that ends the subscription */
  onClosed(listener: () => void): () => void;
}

/** The event that tells a client why its stream or socket.io socket ends. */
const closeEvent = "session-closed";

/** @throws SessionError `INVALID_ARGUMENT` */
export function transportOf(connection: LiveTransport): Transport {
  if (typeof connection === "function") return { isOpen: true, close: connection, onClosed: () => () => {} };
  if (typeof connection === "object" && connection !== null) {
    if ("disconnect" in connection) return socketIo(connection);
    if ("writableEnded" in connection) return eventStream(connection);
    if ("addEventListener" in connection) return webSocket(connection);
  }
  const expected = "a WebSocket, a socket.io socket, a response or a function";
  const received = describe(connection);
  throw new SessionError("INVALID_ARGUMENT", `@sojourn/live: add: expected ${expected}, received ${received}`);
}

function webSocket(socket: WebSocketLike): Transport {
  return {
    // CONNECTING or OPEN.
    isOpen: socket.readyState < 2,
    close: ({ code, reason }) => socket.close(code, reason),
    cut: () => socket.terminate?.(),
    onClosed(listener) {
      socket.addEventListener("close", listener);
      return () => socket.removeEventListener("close", listener);
    },
  };
}

function socketIo(socket: SocketIoLike): Transport {
  return {
    isOpen: socket.connected,
    close(close) {
      // socket.io has no close codes.
      socket.emit(closeEvent, close);
      // The whole connection: its other namespaces have the same session.
      socket.disconnect(true);
    },
    onClosed(listener) {
      socket.on("disconnect", listener);
      return () => socket.off("disconnect", listener);
    },
  };
}

function eventStream(response: EventStreamLike): Transport {
  return {
    isOpen: isWritable(response),
    close(close) {
      if (!isWritable(response)) return;
      response.write(`event: ${closeEvent}\ndata: ${JSON.stringify(close)}\n\n`);
      response.end();
    },
    cut: () => response.destroy?.(),
    onClosed(listener) {
      response.on("close", listener);
      return () => response.off("close", listener);
    },
  };
}

function isWritable({ writableEnded, destroyed = false }: EventStreamLike): boolean {
  return !writableEnded && !destroyed;
}
