import type { Document, MongoClient } from "mongodb";

/** A connection of the driver's pools, as its events name it. */
interface PooledConnection {
  readonly address: string;
  readonly connectionId: number | "<monitor>";
}

/** More are not probed at once: a client has 100 by default. */
const maxProbes = 100;

/**
 * Probes the idle connections of a client's pools.
 *
 * When the network drops the packets of all open connections without a word, each idle one would fail a call that is lent it.
 * A probe borrows each of them, and closes it if it does not answer in time. Calls meanwhile are lent new connections.
 */
export class PoolWatch {
  readonly #client: MongoClient;
  /** The idle connections of each server. */
  readonly #idle = new Map<string, Set<PooledConnection["connectionId"]>>();
  /** The server whose connection was lent last: the primary, as a rule. */
  #lastAddress = "";
  #isProbing = false;

  constructor(client: MongoClient) {
    this.#client = client;
    client.on("connectionReady", (event) => this.#idleOf(event).add(event.connectionId));
    client.on("connectionCheckedIn", (event) => this.#idleOf(event).add(event.connectionId));
    client.on("connectionClosed", (event) => this.#idleOf(event).delete(event.connectionId));
    client.on("connectionPoolClosed", ({ address }) => this.#idle.delete(address));
    client.on("connectionCheckedOut", (event) => {
      this.#idleOf(event).delete(event.connectionId);
      this.#lastAddress = event.address;
    });
  }

  /** @param limitMs - how long a connection may take to answer */
  probe(limitMs: number): void {
    const idle = this.#idle.get(this.#lastAddress)?.size ?? 0;
    if (this.#isProbing || idle === 0) return;
    this.#isProbing = true;
    const signal = AbortSignal.timeout(Math.ceil(limitMs));
    const ping = (): Promise<Document> =>
      this.#client.db("admin").command({ ping: 1 }, { readPreference: "primary", signal });
    const pings = Array.from({ length: Math.min(idle, maxProbes) }, ping);
    void Promise.allSettled(pings).then(() => {
      this.#isProbing = false;
    });
  }

  #idleOf({ address }: PooledConnection): Set<PooledConnection["connectionId"]> {
    const idle = this.#idle.get(address) ?? new Set();
    this.#idle.set(address, idle);
    return idle;
  }
}
