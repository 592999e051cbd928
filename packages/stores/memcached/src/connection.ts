import { gatherWrites } from "@sojourn/core/adapter";
import { type Exchange, operationOver } from "./exchange.js";
import type { MemjsResponse, MemjsServer, MemjsSocket } from "./memjs.js";

/** The key of the one listener for errors that memjs gets: its own requests are numbered from 1. */
const errorListenerSeq = -1;

interface RequestParts {
  readonly bytes: Buffer;
  readonly seq: number;
  /** Reads may be sent once more, over another connection. */
  readonly isRead: boolean;
  /** Whether a response is the last one. Default: there is only one. */
  readonly isLast: ((response: MemjsResponse) => boolean) | undefined;
}

/** A request from the wait for a connection to its answer. Only its first outcome counts. */
export class OpenRequest {
  readonly parts: RequestParts;
  readonly exchange: Exchange;
  readonly promise: Promise<MemjsResponse>;
  #resolve!: (response: MemjsResponse) => void;
  #reject!: (error: unknown) => void;

  constructor(parts: RequestParts, exchange: Exchange) {
    this.parts = parts;
    this.exchange = exchange;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    exchange.add(this);
  }

  answer(response: MemjsResponse): void {
    this.#resolve(response);
  }

  fail(error: unknown): void {
    this.#reject(error);
  }
}

/** The connection ended before it had answered anything since it was last idle. It may have been closed long before. */
export class StaleConnectionError extends Error {
  readonly code = "ECONNRESET";
}

/**
 * The connection to one server, as memjs keeps it: requests are answered in the order in which they were sent.
 *
 * memjs keeps one state for all connections to a server, and the last connection spoils the next one: half an answer is read
 * as the beginning of all that follow, a late close takes the new connection for the old one, and a request in flight when
 * the server closes is forgotten. So this class notices each end of a connection, fails the requests on it, and makes memjs
 * forget it.
 */
export class Connection {
  readonly #server: MemjsServer;
  #socket: MemjsSocket | undefined;
  /** Requests that wait until the connection is ready. */
  readonly #waiting = new Set<OpenRequest>();
  /** Requests that were sent and not answered, by their number, including requests whose operation is over. */
  readonly #unanswered = new Map<number, OpenRequest>();
  /** Requests that wait until it is known whether the connection has ended without a word. */
  #suspected: OpenRequest[] | undefined;
  /** When the connection was last heard from, or begun. */
  #heardAt = 0;
  /** When the connection was last idle. */
  #busySince = 0;
  /** Whether it has ever answered. */
  #hasServed = false;

  constructor(server: MemjsServer) {
    this.#server = server;
  }

  /** Sends a request as soon as the connection is ready: at once, as a rule. */
  send(request: OpenRequest): void {
    this.#watch();
    if (this.#suspected !== undefined) {
      this.#suspected.push(request);
      return;
    }
    const server = this.#server;
    // memjs forgets its listeners after each error.
    if (server.errorCallbacks[errorListenerSeq] === undefined) server.onError(errorListenerSeq, this.#onError);
    if (server.connected && server._socket !== undefined) {
      this.#write(request);
      return;
    }
    this.#waiting.add(request);
    server.sock(false, () => {
      // It may have ended while it waited.
      if (!this.#waiting.delete(request)) return;
      if (request.exchange.isOver) request.fail(operationOver);
      else this.#write(request);
    });
    this.#watch();
  }

  /**
   * Ends the connection if it has said nothing for so long although a request waits for it.
   *
   * First all that has arrived is read: this process may have been busy, not the server silent. Until then nothing is sent.
   */
  endIfSilent(limitMs: number): void {
    if (this.#suspected !== undefined || this.#silentMs() < limitMs) return;
    this.#suspected = [];
    setImmediate(() => {
      const suspected = this.#suspected ?? [];
      this.#suspected = undefined;
      const silentMs = this.#silentMs();
      if (silentMs >= limitMs) this.#end(connectionError(`the server said nothing for ${Math.round(silentMs)} ms`));
      for (const request of suspected) this.send(request);
    });
  }

  #silentMs(): number {
    if (this.#waiting.size + this.#unanswered.size === 0) return 0;
    return performance.now() - Math.max(this.#heardAt, this.#unanswered.size > 0 ? this.#busySince : 0);
  }

  #write(request: OpenRequest): void {
    const { bytes, seq, isRead, isLast } = request.parts;
    if (this.#unanswered.size === 0) this.#busySince = performance.now();
    this.#unanswered.set(seq, request);
    this.#server.onResponse(seq, isLast === undefined ? this.#onResponse : this.#onPartialResponse);
    request.exchange.sending(isRead);
    gatherWrites(this.#server._socket);
    this.#server.write(bytes);
  }

  readonly #onError = (error: Error): void => this.#end(error);

  readonly #onResponse = (response: MemjsResponse): void => {
    this.#hasServed = true;
    const { opaque } = response.header;
    const request = this.#unanswered.get(opaque);
    if (request === undefined || request.parts.isLast?.(response) === false) return;
    this.#unanswered.delete(opaque);
    request.answer(response);
  };

  /** `quiet` tells memjs that more responses may follow, until one without a body. */
  readonly #onPartialResponse: (response: MemjsResponse) => void = Object.assign(
    (response: MemjsResponse): void => this.#onResponse(response),
    { quiet: true },
  );

  /** Learns of a connection that memjs has begun or replaced. */
  #watch(): void {
    const socket = this.#server._socket;
    if (socket === this.#socket) return;
    if (this.#socket !== undefined) this.#end(connectionError("the connection was replaced"));
    if (socket === undefined) return;
    this.#socket = socket;
    this.#hasServed = false;
    this.#heardAt = performance.now();
    socket.on("data", () => {
      if (socket === this.#socket) this.#heardAt = performance.now();
    });
    socket.once("close", () => {
      if (socket === this.#socket) this.#end(connectionError("the server closed the connection"));
    });
  }

  /** Ends the connection and fails the requests on it. A connection that memjs has begun since goes on. */
  #end(error: Error): void {
    const socket = this.#socket;
    this.#socket = undefined;
    const isStale = this.#hasServed && this.#heardAt < this.#busySince;
    const failed = [...this.#unanswered.values(), ...this.#waiting];
    this.#unanswered.clear();
    this.#waiting.clear();
    // memjs would apply the close to whatever connection the server has by then.
    socket?.removeAllListeners("close");
    socket?.destroy();
    const server = this.#server;
    if (server._socket === undefined || server._socket === socket) {
      server.responseBuffer = Buffer.alloc(0);
      server.removeAllListeners("authenticated");
      server.error(error);
    }
    for (const request of failed) {
      const canRepeat = isStale && request.parts.isRead;
      request.fail(canRepeat ? new StaleConnectionError(error.message, { cause: error }) : error);
    }
  }
}

/** Stores on one client share its connections. */
const connections = new WeakMap<MemjsServer, Connection>();

export function connectionOf(server: MemjsServer): Connection {
  const connection = connections.get(server) ?? new Connection(server);
  connections.set(server, connection);
  return connection;
}

function connectionError(message: string): Error {
  return Object.assign(new Error(message), { code: "ECONNRESET" });
}
