import { AsyncLocalStorage } from "node:async_hooks";
import { EventEmitter, on, once } from "node:events";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { MessageChannel } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { bind, bindEmitter, createContext } from "../src/index.js";

const { get, runWithContext } = createContext();

/** All ways to continue work later in Node. Each returns the values of the context there. */
const ways: Record<string, () => Promise<unknown>> = {
  setTimeout: () => new Promise((resolve) => setTimeout(() => resolve(get("requestId")), 2)),
  setImmediate: () => new Promise((resolve) => setImmediate(() => resolve(get("requestId")))),
  setInterval: () =>
    new Promise((resolve) => {
      const timer = setInterval(() => {
        clearInterval(timer);
        resolve(get("requestId"));
      }, 1);
    }),
  nextTick: () => new Promise((resolve) => process.nextTick(() => resolve(get("requestId")))),
  queueMicrotask: () => new Promise((resolve) => queueMicrotask(() => resolve(get("requestId")))),
  "promise.then": () => delay(1).then(() => get("requestId")),
  "async function": async () => {
    await delay(1);
    await null;
    return get("requestId");
  },
  "Promise.all": async () => (await Promise.all([delay(1), delay(2)]).then(() => [get("requestId")]))[0],
  thenable: async () => {
    let seen: unknown;
    await {
      // biome-ignore lint/suspicious/noThenProperty: a thenable of an application is what this is about
      then(resolve: () => void) {
        seen = get("requestId");
        resolve();
      },
    };
    return seen;
  },
  "async generator": async () => {
    const seen: unknown[] = [];
    async function* walk(): AsyncGenerator<unknown> {
      yield get("requestId");
      await delay(1);
      yield get("requestId");
    }
    for await (const value of walk()) seen.push(value);
    return seen[0] === seen[1] ? seen[0] : seen;
  },
  "events.once": async () => {
    const emitter = new EventEmitter();
    setTimeout(() => emitter.emit("ready"), 1);
    await once(emitter, "ready");
    return get("requestId");
  },
  "stream pipeline": async () => {
    const seen = new Set<unknown>();
    const watch = new Transform({
      transform(chunk, _encoding, done) {
        seen.add(get("requestId"));
        setTimeout(done, 1, null, chunk);
      },
      flush(done) {
        seen.add(get("requestId"));
        done();
      },
    });
    await pipeline(Readable.from(["a", "b", "c"]), watch, async (source) => {
      for await (const _ of source) seen.add(get("requestId"));
    });
    return seen.size === 1 ? [...seen][0] : [...seen];
  },
  "fs callback": async () => {
    const { stat } = await import("node:fs");
    return new Promise((resolve) => stat(".", () => resolve(get("requestId"))));
  },
  "crypto on the thread pool": async () => {
    const { pbkdf2 } = await import("node:crypto");
    return new Promise((resolve) => pbkdf2("x", "y", 1, 8, "sha256", () => resolve(get("requestId"))));
  },
};

test.each(Object.entries(ways))("the context goes with %s, each of 50 interleaved runs its own", async (_name, way) => {
  const ids = Array.from({ length: 50 }, (_, n) => `r${n}`);
  const seen = await Promise.all(ids.map((requestId) => runWithContext({ requestId }, way)));
  expect(seen).toEqual(ids);
});

/** Calls back from its own loop, outside any request, as a batching client does. */
class Queue {
  readonly #waiting: ((result: string) => void)[] = [];
  readonly #timer: NodeJS.Timeout = setInterval(() => {
    for (const callback of this.#waiting.splice(0)) callback("done");
  }, 1);

  push(callback: (result: string) => void): void {
    this.#waiting.push(callback);
  }
  stop(): void {
    clearInterval(this.#timer);
  }
}

describe("bind", () => {
  test("keeps the context of a callback that a queue calls; without it, it is lost", async () => {
    const queue = new Queue();
    const ask = (requestId: string, wrap: <Fn extends (result: string) => void>(fn: Fn) => Fn): Promise<unknown> =>
      runWithContext({ requestId }, () => new Promise((resolve) => queue.push(wrap(() => resolve(get("requestId"))))));
    expect(await Promise.all([ask("r1", bind), ask("r2", bind)])).toEqual(["r1", "r2"]);
    expect(await ask("r1", (fn) => fn)).toBeUndefined();
    queue.stop();
  });

  test("passes `this`, arguments and result on, and binds other storages too", () => {
    const other = new AsyncLocalStorage<string>();
    const counter = { step: 2, add: (_a: number, _b: number): unknown[] => [] };
    counter.add = other.run("trace", () =>
      bind(function (this: typeof counter, a: number, b: number) {
        return [this.step * (a + b), other.getStore()];
      }),
    );
    expect(counter.add(1, 2)).toEqual([6, "trace"]);
  });

  test("a bound listener is removed by the original function", () => {
    const shared = new EventEmitter();
    const seen: unknown[] = [];
    const listener = (): void => void seen.push(get("requestId"));
    runWithContext({ requestId: "r1" }, () => {
      shared.on("message", bind(listener));
      shared.once("message", bind(listener));
    });
    runWithContext({ requestId: "r2" }, () => shared.emit("message"));
    expect(seen).toEqual(["r1", "r1"]);
    expect(shared.listenerCount("message")).toBe(1);
    shared.off("message", listener);
    expect(shared.listenerCount("message")).toBe(0);
  });
});

describe("bindEmitter", () => {
  const emitElsewhere = (emitter: EventEmitter): boolean =>
    runWithContext({ requestId: "other" }, () => emitter.emit("x"));

  test("listeners run in its context, and are added and removed as ever", async () => {
    const emitter = new EventEmitter();
    const seen: unknown[] = [];
    const listener = (): void => void seen.push(get("requestId"));
    emitter.on("x", listener);
    runWithContext({ requestId: "r1" }, () => expect(bindEmitter(emitter)).toBe(emitter));
    emitter.once("x", listener);
    emitter.prependListener("x", listener);
    emitElsewhere(emitter);
    expect(seen).toEqual(["r1", "r1", "r1"]);
    expect(emitter.listeners("x")).toEqual([listener, listener]);
    emitter.removeListener("x", listener).removeListener("x", listener);
    expect(emitter.emit("x")).toBe(false);
    expect(emitter.rawListeners("x")).toEqual([]);
  });

  test("an `error` without a listener still throws, and an error of a listener reaches the emitter's caller", () => {
    const emitter = bindEmitter(new EventEmitter());
    const failure = new Error("nobody listens");
    expect(() => emitter.emit("error", failure)).toThrow(failure);
  });

  test("binding it again moves it", () => {
    const emitter = new EventEmitter();
    const seen: unknown[] = [];
    emitter.on("x", () => seen.push(get("requestId")));
    for (const requestId of ["r1", "r2"]) runWithContext({ requestId }, () => bindEmitter(emitter));
    emitElsewhere(emitter);
    expect(seen).toEqual(["r2"]);
  });

  test("streams and async iteration go on working", async () => {
    const source = Readable.from(["a", "b"]);
    const text = await runWithContext({ requestId: "r1" }, async () => {
      bindEmitter(source);
      let all = "";
      for await (const [chunk] of on(source, "data", { close: ["end"] })) all += chunk + get("requestId");
      return all;
    });
    expect(text).toBe("ar1br1");
  });

  test("a message port's events can be bound too", async () => {
    const { port1, port2 } = new MessageChannel();
    const seen = runWithContext({ requestId: "r1" }, () => {
      return new Promise((resolve) =>
        port1.on(
          "message",
          bind(() => resolve(get("requestId"))),
        ),
      );
    });
    port2.postMessage("x");
    expect(await seen).toBe("r1");
    port1.close();
  });
});
