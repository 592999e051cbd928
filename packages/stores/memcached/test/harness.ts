import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import type { SessionStore } from "@sojourn/core";
import { askMemcached, listMemcachedItems } from "@sojourn/test-fixtures";
import memjs from "memjs";
import { vi } from "vitest";
import { MemcachedStore, type MemcachedStoreOptions, type MemjsClient, type MemjsServer } from "../src/index.js";
import { Keys } from "../src/keys.js";

type Options = Omit<MemcachedStoreOptions, "client">;

/** A client as an application makes it, without the messages of memjs on the console. */
export function clientOf(...urls: readonly string[]): memjs.Client {
  const addresses = urls.map((url) => url.replace("memcached://", "")).join(",");
  return memjs.Client.create(addresses, { timeout: 30, conntimeout: 30, retries: 1, logger: { log: () => {} } });
}

/**
 * A store on a client of its own, which may be tampered with and which the store closes. It is patient: a busy machine is
 * no outage.
 */
export async function openOn(client: MemjsClient, options: Options): Promise<MemcachedStore> {
  const store = new MemcachedStore({ client, timeoutMs: 30_000, ...options });
  const close = store.close.bind(store);
  store.close = async () => {
    await close();
    client.close();
  };
  // The first call of a store sends more requests. They are not to be counted, held or interrupted.
  await store.get("first");
  return store;
}

/**
 * Awaits `step` before each request is handed to memjs.
 *
 * @returns resolves once the servers have answered all that was handed over so far
 */
export function onEachRequest(client: MemjsClient, step: () => Promise<void>): () => Promise<void> {
  const writes = client.servers.map((server) => {
    const write = server.write.bind(server);
    // In a queue, because a server sees the requests of one connection in the order in which they are sent.
    let before: Promise<unknown> = Promise.resolve();
    server.write = (request) => {
      const stepped = step();
      before = before.then(() => stepped).then(() => write(request));
    };
    return write;
  });
  return async () => {
    await turn();
    await Promise.all(client.servers.map((server, n) => lastAnswer(client, server, writes[n] ?? server.write)));
  };
}

export interface Held<Result> {
  /** Settles after the operation was released. */
  readonly outcome: Promise<Result>;
  /** False when the operation has finished with fewer requests. */
  readonly isHeld: boolean;
  release(): void;
  close(): Promise<void>;
}

/**
 * Runs an operation on a store of its own, and holds it after so many requests. Resolves once the servers have applied the
 * requests that were sent.
 */
export async function holdAfter<Result>(
  requests: number,
  url: string,
  namespace: string,
  operation: (store: SessionStore) => Promise<Result>,
): Promise<Held<Result>> {
  const client = clientOf(url);
  const store = await openOn(client, { namespace });
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let sent = 0;
  let isFinished = false;
  const applied = onEachRequest(client, () => (sent++ < requests ? Promise.resolve() : released));
  const outcome = operation(store).finally(() => {
    isFinished = true;
  });
  // An operation that is never released fails when its store is closed.
  outcome.catch(() => {});
  while (sent <= requests && !isFinished) await sleep(1);
  const isHeld = !isFinished;
  await applied();
  return { outcome, isHeld, release, close: () => store.close() };
}

/** A server answers one connection in order: when it has answered this, it has run all requests before. */
function lastAnswer(client: MemjsClient, server: MemjsServer, write: MemjsServer["write"]): Promise<void> {
  const noOperation = 0x0a;
  client.incrSeq();
  const { seq } = client;
  return new Promise((resolve, reject) => {
    server.onResponse(seq, () => resolve());
    server.onError(seq, reject);
    write(memjs.Utils.makeRequestBuffer(noOperation, "", "", "", seq));
  });
}

/** Counts sequential waits: a request sent while none is under way begins one. */
export class WaitCounter {
  #waits = 0;
  #underWay = 0;

  constructor(client: MemjsClient) {
    for (const server of client.servers) {
      const onResponse = server.onResponse.bind(server);
      const write = server.write.bind(server);
      server.onResponse = (seq, listener) => {
        const counted: typeof listener = (response) => {
          // Of statistics, which come in many responses, the last one has no body.
          if (!("quiet" in listener) || response.header.totalBodyLength === 0) this.#underWay--;
          listener(response);
        };
        onResponse(seq, Object.assign(counted, listener));
      };
      server.write = (request) => {
        if (this.#underWay++ === 0) this.#waits++;
        write(request);
      };
    }
  }

  get waits(): number {
    return this.#waits;
  }

  async count(operation: () => Promise<unknown>): Promise<number> {
    const before = this.#waits;
    await operation();
    return this.#waits - before;
  }
}

/** The remaining seconds of every entry of a namespace, but for its generation; `undefined` for one without an end. */
export async function entriesOf(url: string, namespace: string): Promise<(number | undefined)[]> {
  const { generation } = new Keys(namespace);
  const prefix = generation.slice(0, generation.lastIndexOf(":"));
  const port = Number(new URL(url).port);
  const now = Number(/STAT time (\d+)/.exec(await askMemcached(port, "stats\r\n"))?.[1]);
  return (await listMemcachedItems(port)).flatMap((line) => {
    const [, encodedKey, exp] = /^key=(\S+) exp=(-?\d+)/.exec(line) ?? [];
    const key = decodeURIComponent(encodedKey ?? "");
    if (!key.startsWith(prefix) || key === generation) return [];
    if (exp === "-1") return [undefined];
    const seconds = Number(exp) - now;
    // An item that is over stays in the list until memcached comes across it.
    return seconds > 0 ? [seconds] : [];
  });
}

/** Runs an operation as if the time were later. */
export async function later<Result>(ms: number, operation: () => Promise<Result>): Promise<Result> {
  const monotonic = performance.now.bind(performance);
  const clock = vi.spyOn(performance, "now").mockImplementation(() => monotonic() + ms);
  try {
    return await operation();
  } finally {
    clock.mockRestore();
  }
}
