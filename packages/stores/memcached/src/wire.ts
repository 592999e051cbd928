import { randomBytes } from "node:crypto";
import { type Call, SessionError } from "@sojourn/core/adapter";
import { connectionOf, OpenRequest, StaleConnectionError } from "./connection.js";
import { refusal, status } from "./errors.js";
import { Exchange, operationOver } from "./exchange.js";
import type { MemjsClient, MemjsResponse, MemjsServer } from "./memjs.js";

export interface RawItem {
  readonly value: Buffer;
  /** The server calls it cas. It changes with each write of the item, and no value is used twice. */
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
 * Requests go to memjs' servers, not through `Client#perform`: its retry sends a write again that may have been applied, and
 * its failover moves keys. Requests sent in one tick share a wait; one server runs them in the order in which they were sent.
 */
export class Wire {
  /** For requests that several operations wait for. */
  readonly shared: Exchange = new Exchange(undefined);
  readonly #client: MemjsClient;
  readonly #silenceMs: number;
  readonly #maxItemBytes: number;
  readonly #probed = new Set<MemjsServer>();
  readonly #probes = new Map<MemjsServer, Promise<void>>();
  #isClosed = false;

  constructor(client: MemjsClient, timeoutMs: number, maxItemBytes: number) {
    this.#client = client;
    // Half of it: a request may begin late in its operation, and service is to resume within twice the timeout.
    this.#silenceMs = timeoutMs / 2;
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

  /** Begins the requests of an operation. */
  begin(call: Call): Exchange {
    return new Exchange(call, this.#endSilent);
  }

  /** From here on nothing is sent: an operation under way would otherwise open a connection that is never closed. */
  close(): void {
    this.#isClosed = true;
  }

  async get(server: MemjsServer, key: string, exchange: Exchange): Promise<RawItem | undefined> {
    const request = { server, opcode: opcodes.get, key };
    const response = await this.#request(request, "read", [status.notFound], exchange);
    if (response.header.status === status.notFound) return undefined;
    return { value: response.val, token: tokenOf(response) };
  }

  /** @returns the item's token, or `undefined` when the key is taken */
  async add(
    server: MemjsServer,
    key: string,
    value: Buffer,
    exptime: number,
    exchange: Exchange,
  ): Promise<bigint | undefined> {
    const request = { server, opcode: opcodes.add, key, value, exptime };
    const response = await this.#request(request, "add", [status.exists, status.notStored], exchange);
    return response.header.status === status.ok ? tokenOf(response) : undefined;
  }

  /** @returns the item's new token, or `undefined` when the item is gone or its token is another one */
  async swap(
    { server, key, token }: { readonly server: MemjsServer; readonly key: string; readonly token: bigint },
    value: Buffer,
    exptime: number,
    exchange: Exchange,
  ): Promise<bigint | undefined> {
    const request = { server, opcode: opcodes.set, key, value, exptime, token };
    const expected = [status.exists, status.notFound];
    const response = await this.#request(request, "compare-and-swap", expected, exchange);
    return response.header.status === status.ok ? tokenOf(response) : undefined;
  }

  async set(server: MemjsServer, key: string, value: Buffer, exptime: number, exchange: Exchange): Promise<void> {
    await this.#request({ server, opcode: opcodes.set, key, value, exptime }, "set", [], exchange);
  }

  /** @returns false when the item is gone or its token is another one */
  async delete(server: MemjsServer, key: string, token: bigint, exchange: Exchange): Promise<boolean> {
    const request = { server, opcode: opcodes.delete, key, token };
    const response = await this.#request(request, "delete", [status.exists, status.notFound], exchange);
    return response.header.status === status.ok;
  }

  /** @param group - `""` for the server's state, `"settings"` for its settings */
  async stats(server: MemjsServer, group: string): Promise<ReadonlyMap<string, string>> {
    const stats = new Map<string, string>();
    const collect = (response: MemjsResponse): boolean => {
      const isLast = response.header.totalBodyLength === 0 || response.header.status !== status.ok;
      if (!isLast) stats.set(response.key.toString(), response.val.toString());
      return isLast;
    };
    const response = await this.#send({ server, opcode: opcodes.stat, key: group }, this.shared, collect);
    if (response.header.status !== status.ok) throw refusal(response.header.status, "stats");
    return stats;
  }

  /** Reads the time of the first server that answers it. All of them should have the same. */
  async readSeconds(): Promise<number> {
    let failure: unknown;
    for (const server of this.servers) {
      try {
        return Number((await this.stats(server, "")).get("time"));
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  #request(request: Request, step: string, expected: readonly number[], exchange: Exchange): Promise<MemjsResponse> {
    if (this.#probed.has(request.server)) return this.#sendExpecting(request, step, expected, exchange);
    return this.#probe(request.server).then(() => this.#sendExpecting(request, step, expected, exchange));
  }

  async #sendExpecting(
    request: Request,
    step: string,
    expected: readonly number[],
    exchange: Exchange,
  ): Promise<MemjsResponse> {
    const response = await this.#send(request, exchange);
    const { status: code } = response.header;
    if (code !== status.ok && !expected.includes(code)) throw refusal(code, step);
    return response;
  }

  /** @throws the error of memjs or of the socket */
  async #send(
    request: Request,
    exchange: Exchange,
    isLast?: (response: MemjsResponse) => boolean,
  ): Promise<MemjsResponse> {
    try {
      return await this.#sendOnce(request, exchange, isLast);
    } catch (error) {
      // Only a read fails like that. Only once: the second connection is new.
      if (!(error instanceof StaleConnectionError)) throw error;
      return this.#sendOnce(request, exchange, isLast);
    }
  }

  #sendOnce(
    request: Request,
    exchange: Exchange,
    isLast: ((response: MemjsResponse) => boolean) | undefined,
  ): Promise<MemjsResponse> {
    if (this.#isClosed) throw new SessionError("CLOSED", "@sojourn/memcached: the store has been closed");
    if (exchange.isOver) throw operationOver;
    if (this.#client.seq >= lastSeq) this.#client.seq = 0;
    this.#client.incrSeq();
    const { seq } = this.#client;
    const isRead = request.opcode === opcodes.get || request.opcode === opcodes.stat;
    const bytes = encodeRequest(request, seq);
    const open = new OpenRequest({ bytes, seq, isRead, isLast }, exchange);
    connectionOf(request.server).send(open);
    return open.promise;
  }

  /** Gives up connections that have said nothing for long, when an operation has ended without an answer. */
  readonly #endSilent = (): void => {
    for (const server of this.servers) connectionOf(server).endIfSilent(this.#silenceMs);
  };

  /** Probes a server once before it is trusted. A failure is forgotten, and the next request probes again. */
  #probe(server: MemjsServer): Promise<void> {
    const running = this.#probes.get(server);
    if (running !== undefined) return running;
    const probe = this.#probeNow(server)
      .then(() => void this.#probed.add(server))
      .finally(() => this.#probes.delete(server));
    this.#probes.set(server, probe);
    return probe;
  }

  /**
   * Everything here rests on compare-and-swap, which memcached's `-C` turns off and which is reached by members that memjs
   * exports but does not document: so an item is written, and the server must refuse a token that is not the item's.
   */
  async #probeNow(server: MemjsServer): Promise<void> {
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
    const added = await this.#sendExpecting({ ...item, opcode: opcodes.add }, "probe", [], this.shared);
    const token = isWellFormed(added) ? tokenOf(added) : 0n;
    const [wrong, right, stale] = await Promise.all([
      this.#send({ ...item, opcode: opcodes.set, token: token + 1n }, this.shared),
      this.#send({ ...item, opcode: opcodes.set, token }, this.shared),
      this.#send({ server, key, opcode: opcodes.delete, token }, this.shared),
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

/** Encodes a request of the binary protocol in one buffer. memjs takes six. */
function encodeRequest({ opcode, key, value, exptime, token }: Request, seq: number): Buffer {
  // Flags, which are not used here, and expiry.
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
