import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type Cut, type PlannedCut, Relay, type TcpProxyCounts } from "./tcp-relay.js";

/** Starts a proxy on a loopback port in front of the server at `url`. */
export async function startTcpProxy(url: string): Promise<TcpProxy> {
  const proxy = new TcpProxy(url);
  await proxy.listen({ host: "127.0.0.1" });
  return proxy;
}

/**
 * Passes on bytes between clients and one server, counts them, and breaks connections as networks do.
 *
 * A server that is down shows as a reset: the proxy accepts before it connects.
 */
export class TcpProxy {
  readonly counts: TcpProxyCounts = { accepted: 0, roundTrips: 0, sent: 0, received: 0 };
  /** Holds back each chunk for this long, in both directions. */
  delayMs = 0;

  readonly #target: URL;
  readonly #listener: Server;
  readonly #relays = new Set<Relay>();
  #host = "";
  #port = 0;
  #freezesNew = false;
  #cut: PlannedCut | undefined;

  constructor(url: string) {
    this.#target = new URL(url);
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
  }

  /**
   * @param place - the host whose clients it serves
   * @param place.on - a server that listens there already. Default: a free port
   */
  async listen({ host, on }: { host: string; on?: Server }): Promise<void> {
    await once(on ? this.#listener.listen(on) : this.#listener.listen(0, host), "listening");
    this.#host = host;
    // It listens on a port, not on a path.
    this.#port = (this.#listener.address() as AddressInfo).port;
  }

  get port(): number {
    return this.#port;
  }

  /** The server's URL by way of this proxy. */
  get url(): string {
    const url = new URL(this.#target);
    url.host = `${this.#host}:${this.#port}`;
    return url.href;
  }

  /** The ports of the clients that are connected. */
  get clientPorts(): number[] {
    return [...this.#relays].map(({ clientPort }) => clientPort);
  }

  /** Connections that clients have open at the moment, frozen ones included. */
  get connections(): number {
    return this.#relays.size;
  }

  resetCounts(): void {
    Object.assign(this.counts, { accepted: 0, roundTrips: 0, sent: 0, received: 0 });
  }

  /**
   * Stops all traffic of the open connections without a word, FIN and RST included: neither side notices that the other
   * has closed. New connections pass, unless `all` freezes them as well.
   */
  freeze(which: "open" | "all" = "open"): void {
    this.#freezesNew = which === "all";
    for (const relay of this.#relays) relay.freeze();
  }

  /** Lets frozen connections go on. They deliver what they held back. */
  thaw(): void {
    this.#freezesNew = false;
    for (const relay of this.#relays) relay.thaw();
  }

  /** Ends the open connections, on both sides. */
  cut(how: Cut): void {
    for (const relay of this.#relays) relay.cut(how);
  }

  /** Lets `afterBytes` of the next answer longer than that pass, and then cuts its connection or freezes its answers. */
  cutNextAnswer(how: Cut | "freeze", afterBytes: number): void {
    this.#cut = { how, afterBytes };
  }

  /** Cuts all connections and accepts none any more. */
  async stop(): Promise<void> {
    if (!this.#listener.listening) return;
    const closed = once(this.#listener, "close");
    this.#listener.close();
    this.cut("reset");
    await closed;
  }

  #accept(client: Socket): void {
    this.counts.accepted += 1;
    const { hostname: host, port } = this.#target;
    const server = connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true });
    const relay = new Relay(client, server, {
      counts: this.counts,
      delayMs: () => this.delayMs,
      takeCut: (answerBytes) => {
        const cut = this.#cut;
        if (cut === undefined || answerBytes <= cut.afterBytes) return undefined;
        this.#cut = undefined;
        return cut;
      },
    });
    this.#relays.add(relay);
    client.once("close", () => this.#relays.delete(relay));
    if (this.#freezesNew) relay.freeze();
  }
}
