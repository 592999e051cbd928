import type { SessionStore } from "@sojourn/core";
import { askMemcached, type ResolvedServer } from "@sojourn/test-fixtures";
import memjs from "memjs";
import { MemcachedStore, type MemjsClient, type MemjsServer } from "../src/index.js";
import { Keys } from "../src/keys.js";

/** A client as an application would make it, without what memjs writes to the console. */
export function clientOf(...urls: readonly string[]): memjs.Client {
  const addresses = urls.map((url) => url.replace("memcached://", "")).join(",");
  return memjs.Client.create(addresses, { timeout: 2, conntimeout: 2, retries: 1, logger: { log: () => {} } });
}

/** Calls `step` before each request is handed to memjs, and holds it until that resolves. */
export function onEachRequest(client: MemjsClient, step: () => Promise<void>): void {
  for (const server of client.servers) {
    const write = server.write.bind(server);
    // In a queue, because requests of one connection arrive in the order in which they are sent.
    let before: Promise<unknown> = Promise.resolve();
    server.write = (request) => {
      const stepped = step();
      before = before.then(() => stepped).then(() => write(request));
    };
  }
}

/** Counts sequential waits: a request sent while none is under way begins one. */
export class WaitCounter {
  waits = 0;
  #underWay = 0;

  constructor(client: MemjsClient) {
    for (const server of client.servers) this.#watch(server);
  }

  async count(operation: () => Promise<unknown>): Promise<number> {
    this.waits = 0;
    await operation();
    return this.waits;
  }

  #watch(server: MemjsServer): void {
    const onResponse = server.onResponse.bind(server);
    const write = server.write.bind(server);
    server.onResponse = (seq, listener) => {
      const counted: typeof listener = (response) => {
        this.#underWay--;
        listener(response);
      };
      onResponse(seq, Object.assign(counted, listener));
    };
    server.write = (request) => {
      if (this.#underWay++ === 0) this.waits++;
      write(request);
    };
  }
}

/** Every entry of a namespace that memcached lists, but for its generation: with the seconds that it has left. */
export async function entriesOf(server: ResolvedServer, namespace: string): Promise<(number | undefined)[]> {
  const { generation } = new Keys(namespace);
  const prefix = generation.slice(0, generation.lastIndexOf(":"));
  const port = Number(new URL(server.url).port);
  const now = Number(/STAT time (\d+)/.exec(await askMemcached(port, "stats\r\n"))?.[1]);
  const dump = await askMemcached(port, "lru_crawler metadump all\r\n");
  const entries = dump.split("\n").map((line) => /^key=(\S+) exp=(-?\d+)/.exec(line));
  return entries.flatMap((entry) => {
    const [, key = "", exp = ""] = entry ?? [];
    if (!decodeURIComponent(key).startsWith(prefix) || decodeURIComponent(key) === generation) return [];
    const seconds = Number(exp) - now;
    if (exp === "-1") return [undefined];
    // An item that is over stays in the list until memcached comes across it.
    return seconds > 0 ? [seconds] : [];
  });
}

/** Stores on clients of their own, closed together. */
export class Stores {
  readonly #clients: memjs.Client[] = [];
  readonly #urls: readonly string[];

  constructor(...urls: readonly string[]) {
    this.#urls = urls;
  }

  client(): memjs.Client {
    const client = clientOf(...this.#urls);
    this.#clients.push(client);
    return client;
  }

  open(namespace: string, options: Partial<ConstructorParameters<typeof MemcachedStore>[0]> = {}): SessionStore {
    return new MemcachedStore({ client: this.client(), namespace, ...options });
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}
