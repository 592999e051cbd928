import { randomBytes } from "node:crypto";
import { type GatheringSocket, SessionError, withTimeout } from "@sojourn/core/adapter";
import { giveUp, prepare, send } from "./connection.js";
import { classify, refusal, status } from "./errors.js";

/** A response of the server, as memjs parses it. */
export interface MemjsResponse {
  readonly header: { readonly status: number; readonly totalBodyLength: number; readonly cas: Buffer };
  readonly key: Buffer;
  readonly val: Buffer;
}

/** A connection of memjs: a socket of Node.js. */
export interface MemjsSocket extends GatheringSocket {
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
  write(request: Buffer): void;
  /** Ends the connection and fails all that is under way. */
  error(error: Error): void;
  removeAllListeners(event: "authenticated"): unknown;
  /** `undefined` while there is none. */
  readonly _socket?: MemjsSocket | undefined;
  /** What of an answer has arrived. */
  responseBuffer: Buffer;
  readonly responseCallbacks: { [seq: number]: unknown };
  readonly errorCallbacks: { [seq: number]: unknown };
}

/** The part of a memjs 1.3 client that the store uses. */
export interface MemjsClient {
  seq: number;
  readonly servers: readonly MemjsServer[];
  readonly options: { readonly failover?: boolean };
  incrSeq(): void;
  /** The server that holds a key. */
  server(key: string): MemjsServer | null | undefined;
  close(): void;
}

export interface RawItem {
  readonly value: Buffer;
  /** What the server calls cas: it changes with each write of the item and is never used twice. */
  readonly token: bigint;
}

const opcodes = { get: 0x00, set: 0x01, add: 0x02, delete: 0x04, stat: 0x10 } as const;

const requestMagic = 0x80;
const headerBytes = 24;

/** memjs counts requests in 32 signed bits and throws at each one after 2^31. */
const lastSeq = 2 ** 30;

interface Request {
  readonly server: MemjsServer;
  readonly opcode: number;
  /** In ASCII. */
  readonly key: string;
  readonly value?: Buffer | undefined;
  /** Seconds, as the protocol has them. With it the request carries flags and expiry. */
  readonly exptime?: number | undefined;
  readonly token?: bigint | undefined;
}

/**
 * Compare-and-swap on memcached, which memjs does not offer by name: requests of our own over its connections.
 *
 * Requests go straight to memjs' servers, not through `Client#perform`, whose retry sends a write again that may have been
 * applied, and whose failover moves keys. Each has a timeout of its own, because memjs forgets a request in flight when
 * the server closes the connection. Requests sent in one tick share a wait; one server sees them in the order sent.
 */
export class Wire {
  readonly #client: MemjsClient;
  readonly #timeoutMs: number;
  readonly #maxItemBytes: number;
  readonly #proven = new Set<MemjsServer>();
  readonly #proofs = new Map<MemjsServer, Promise<void>>();
  #isClosed = false;

  constructor(client: MemjsClient, timeoutMs: number, maxItemBytes: number) {
    this.#client = client;
    this.#timeoutMs = timeoutMs;
    this.#maxItemBytes = maxItemBytes;
  }

  get servers(): readonly MemjsServer[] {
    return this.#client.servers;
  }

  serverOf(key: string): MemjsServer {
    const server = this.#client.server(key);
    if (server) return server;
    throw new SessionError("UNAVAILABLE", "@sojourn/memcached: memjs has no server for the key");
  }

  /** From here on nothing is sent: an operation under way would otherwise open a connection that nobody closes. */
  close(): void {
    this.#isClosed = true;
  }

  assertOpen(): void {
    if (this.#isClosed) throw new SessionError("CLOSED", "@sojourn/memcached: the store has been closed");
  }

  async get(server: MemjsServer, key: string): Promise<RawItem | undefined> {
    const response = await this.#request({ server, opcode: opcodes.get, key }, "read", [status.notFound]);
    if (response.header.status === status.notFound) return undefined;
    return { value: response.val, token: tokenOf(response) };
  }

  /** @returns the item's token, or `undefined` when the key is taken */
  async add(server: MemjsServer, key: string, value: Buffer, exptime: number): Promise<bigint | undefined> {
    const request = { server, opcode: opcodes.add, key, value, exptime };
    const response = await this.#request(request, "add", [status.exists, status.notStored]);
    return response.header.status === status.ok ? tokenOf(response) : undefined;
  }

  /** @returns the item's new token, or `undefined` when it is gone or no longer the one of `token` */
  async swap(
    server: MemjsServer,
    key: string,
    value: Buffer,
    exptime: number,
    token: bigint,
  ): Promise<bigint | undefined> {
    const request = { server, opcode: opcodes.set, key, value, exptime, token };
    const response = await this.#request(request, "compare-and-swap", [status.exists, status.notFound]);
    return response.header.status === status.ok ? tokenOf(response) : undefined;
  }

  async set(server: MemjsServer, key: string, value: Buffer, exptime: number): Promise<void> {
    await this.#request({ server, opcode: opcodes.set, key, value, exptime }, "set", []);
  }

  /** @returns false when the item is gone or no longer the one of `token` */
  async delete(server: MemjsServer, key: string, token: bigint): Promise<boolean> {
    const request = { server, opcode: opcodes.delete, key, token };
    const response = await this.#request(request, "delete", [status.exists, status.notFound]);
    return response.header.status === status.ok;
  }

  /** What the server tells of itself; `group` is `""` or `"settings"`. */
  async stats(server: MemjsServer, group: string): Promise<ReadonlyMap<string, string>> {
    const stats = new Map<string, string>();
    const collect = (response: MemjsResponse): boolean => {
      const isLast = response.header.totalBodyLength === 0 || response.header.status !== status.ok;
      if (!isLast) stats.set(response.key.toString(), response.val.toString());
      return isLast;
    };
    const response = await this.#send({ server, opcode: opcodes.stat, key: group }, "stats", collect);
    if (response.header.status !== status.ok) throw refusal(response.header.status, "stats");
    return stats;
  }

  async #request(request: Request, operation: string, expected: readonly number[]): Promise<MemjsResponse> {
    if (!this.#proven.has(request.server)) await this.#prove(request.server);
    return this.#sendExpecting(request, operation, expected);
  }

  async #sendExpecting(request: Request, operation: string, expected: readonly number[]): Promise<MemjsResponse> {
    const response = await this.#send(request, operation);
    const { status: code } = response.header;
    if (code !== status.ok && !expected.includes(code)) throw refusal(code, operation);
    return response;
  }

  async #send(
    { server, opcode, key, value, exptime, token }: Request,
    operation: string,
    isLast: (response: MemjsResponse) => boolean = () => true,
  ): Promise<MemjsResponse> {
    this.assertOpen();
    if (this.#client.seq >= lastSeq) this.#client.seq = 0;
    this.#client.incrSeq();
    const { seq } = this.#client;
    const request = encodeRequest({ opcode, key, value, exptime, token }, seq);
    prepare(server);
    let socket: MemjsSocket | undefined;
    const answered = new Promise<MemjsResponse>((resolve, reject) => {
      const listener = (response: MemjsResponse): void => {
        if (isLast(response)) resolve(response);
      };
      // `quiet` is memjs' word for: more responses may follow, until one without a body.
      server.onResponse(seq, opcode === opcodes.stat ? Object.assign(listener, { quiet: true }) : listener);
      server.onError(seq, reject);
      socket = send(server, request);
    });
    try {
      return await withTimeout(answered, this.#timeoutMs, `@sojourn/memcached: ${operation}`);
    } catch (error) {
      // memjs keeps the listeners of a request that is never answered.
      delete server.responseCallbacks[seq];
      delete server.errorCallbacks[seq];
      giveUp(server, socket);
      throw classify(error, operation, opcode !== opcodes.get && opcode !== opcodes.stat);
    }
  }

  /** Tries a server once before it is trusted. A failure is forgotten, and the next request tries again. */
  #prove(server: MemjsServer): Promise<void> {
    const running = this.#proofs.get(server);
    if (running !== undefined) return running;
    const proof = this.#proveNow(server)
      .then(() => void this.#proven.add(server))
      .finally(() => this.#proofs.delete(server));
    this.#proofs.set(server, proof);
    return proof;
  }

  /**
   * Everything here rests on compare-and-swap, which memcached's `-C` turns off and which is reached by what memjs exports
   * but does not document: so an item is written, and the server must refuse a token that is not the item's.
   */
  async #proveNow(server: MemjsServer): Promise<void> {
    const settings = await this.stats(server, "settings");
    const itemSizeMax = Number(settings.get("item_size_max") ?? Number.POSITIVE_INFINITY);
    if (itemSizeMax < this.#maxItemBytes) {
      throw new SessionError(
        "INVALID_OPTION",
        `@sojourn/memcached: option "maxItemBytes" is ${this.#maxItemBytes}, but ${server.host}:${server.port} holds ` +
          `items of ${itemSizeMax} bytes; set the option, or memcached's -I`,
      );
    }
    const key = `sojourn:probe:${randomBytes(16).toString("hex")}`;
    const item = { server, key, value: Buffer.from("probe"), exptime: 5 };
    const added = await this.#sendExpecting({ ...item, opcode: opcodes.add }, "probe", []);
    const token = isWellFormed(added) ? tokenOf(added) : 0n;
    const [wrong, right, stale] = await Promise.all([
      this.#send({ ...item, opcode: opcodes.set, token: token + 1n }, "probe"),
      this.#send({ ...item, opcode: opcodes.set, token }, "probe"),
      this.#send({ server, key, opcode: opcodes.delete, token }, "probe"),
    ]);
    const answers = [wrong, right, stale].map((response) => response.header.status);
    if (token !== 0n && answers.join() === [status.exists, status.ok, status.exists].join()) return;
    throw new SessionError(
      "BACKEND",
      `@sojourn/memcached: ${server.host}:${server.port} does not compare-and-swap as memcached 1.6 does over memjs 1.3 ` +
        `(statuses ${answers.join(", ")}): is it memcached, without -C, and is memjs a version that this package knows?`,
    );
  }
}

function tokenOf(response: MemjsResponse): bigint {
  return response.header.cas.readBigUInt64BE(0);
}

function isWellFormed(response: MemjsResponse): boolean {
  return Buffer.isBuffer(response.header.cas) && response.header.cas.length === 8;
}

/** The binary protocol's request, in one buffer; that of memjs takes six. */
function encodeRequest({ opcode, key, value, exptime, token }: Omit<Request, "server">, seq: number): Buffer {
  // Flags, which nobody uses here, and expiry.
  const extrasBytes = exptime === undefined ? 0 : 8;
  const bodyBytes = extrasBytes + key.length + (value?.length ?? 0);
  const request = Buffer.allocUnsafe(headerBytes + bodyBytes).fill(0, 0, headerBytes + extrasBytes);
  request[0] = requestMagic;
  request[1] = opcode;
  request.writeUInt16BE(key.length, 2);
  request[4] = extrasBytes;
  request.writeUInt32BE(bodyBytes, 8);
  request.writeUInt32BE(seq, 12);
  if (token !== undefined) request.writeBigUInt64BE(token, 16);
  if (exptime !== undefined) request.writeUInt32BE(exptime, headerBytes + 4);
  request.write(key, headerBytes + extrasBytes, "latin1");
  value?.copy(request, headerBytes + extrasBytes + key.length);
  return request;
}
