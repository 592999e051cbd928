import type { GatheringSocket } from "@sojourn/core/adapter";

/** A response of the server, as memjs parses it. */
export interface MemjsResponse {
  readonly header: {
    readonly status: number;
    readonly totalBodyLength: number;
    readonly cas: Buffer;
    /** The number of the request. */
    readonly opaque: number;
  };
  readonly key: Buffer;
  readonly val: Buffer;
}

/** A connection of memjs: a socket of Node.js. */
export interface MemjsSocket extends GatheringSocket {
  on(event: "data", listener: () => void): unknown;
  once(event: "close", listener: () => void): unknown;
  removeAllListeners(event: "close"): unknown;
  destroy(): unknown;
  unref(): unknown;
}

/** The part of a memjs 1.3 server that the store uses. */
export interface MemjsServer {
  readonly host: string;
  readonly port: number;
  onResponse(seq: number, listener: (response: MemjsResponse) => void): void;
  onError(seq: number, listener: (error: Error) => void): void;
  /** Calls `go` when there is a connection, at once where there is one. `isLogin`: only for memjs itself. */
  sock(isLogin: boolean, go: () => void): void;
  write(request: Buffer): void;
  /** Ends the connection and fails the requests on it. */
  error(error: Error): void;
  removeAllListeners(event: "authenticated"): unknown;
  /** `undefined` while there is none. */
  readonly _socket?: MemjsSocket | undefined;
  /** Whether the connection is ready. It may have ended since: then `_socket` is `undefined`. */
  readonly connected: boolean;
  /** The part of an answer that has arrived. */
  responseBuffer: Buffer;
  readonly errorCallbacks: { [seq: number]: unknown };
}

/** The part of a memjs 1.3 client that the store uses. */
export interface MemjsClient {
  seq: number;
  readonly servers: readonly MemjsServer[];
  readonly options: { readonly failover?: boolean };
  incrSeq(): void;
  /** Returns the server that holds a key. */
  server(key: string): MemjsServer | null | undefined;
  close(): void;
}
