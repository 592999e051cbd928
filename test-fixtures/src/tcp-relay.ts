import type { Socket } from "node:net";

/** How a connection ends: `close` sends FIN, `reset` sends RST. */
export type Cut = "close" | "reset";

export interface TcpProxyCounts {
  /** Connections accepted. */
  accepted: number;
  /**
   * Times that a client spoke after its server had, or first. With one caller these are its sequential waits, however many
   * commands travel in each.
   */
  roundTrips: number;
  /** Bytes from clients to the server. */
  sent: number;
  /** Bytes from the server to clients. */
  received: number;
}

export interface PlannedCut {
  readonly how: Cut | "freeze";
  readonly afterBytes: number;
}

interface RelayContext {
  readonly counts: TcpProxyCounts;
  readonly delayMs: () => number;
  /** @returns the cut that an answer meets which has grown to this length */
  readonly takeCut: (answerBytes: number) => PlannedCut | undefined;
}

/** One connection through a proxy: a client, the connection to the server made for it, and a lane each way. */
export class Relay {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #context: RelayContext;
  readonly #requests: Lane;
  readonly #answers: Lane;
  #clientSpoke = false;
  #answerBytes = 0;
  #isFrozen = false;

  constructor(client: Socket, server: Socket, context: RelayContext) {
    this.#client = client;
    this.#server = server;
    this.#context = context;
    this.#requests = new Lane(
      client,
      context.delayMs,
      (chunk) => this.#passRequest(chunk),
      () => server.end(),
    );
    this.#answers = new Lane(
      server,
      context.delayMs,
      (chunk) => this.#passAnswer(chunk),
      () => client.end(),
    );
    // An error is a reset, or a server that is not there: either is passed on.
    client.on("error", () => server.resetAndDestroy());
    server.on("error", () => {
      if (!this.#isFrozen) client.resetAndDestroy();
    });
  }

  /** 0 once the socket is closed. */
  get clientPort(): number {
    return this.#client.remotePort ?? 0;
  }

  freeze(): void {
    this.#isFrozen = true;
    this.#requests.freeze();
    this.#answers.freeze();
  }

  thaw(): void {
    this.#isFrozen = false;
    if (this.#server.destroyed) this.#client.resetAndDestroy();
    this.#requests.thaw();
    this.#answers.thaw();
  }

  cut(how: Cut): void {
    this.#requests.discard();
    this.#answers.discard();
    if (how === "reset") {
      this.#client.resetAndDestroy();
      this.#server.resetAndDestroy();
    } else {
      this.#client.end();
      this.#server.end();
    }
  }

  #passRequest(chunk: Buffer): void {
    const { counts } = this.#context;
    if (!this.#clientSpoke) counts.roundTrips += 1;
    counts.sent += chunk.length;
    this.#clientSpoke = true;
    this.#answerBytes = 0;
    this.#server.write(chunk);
  }

  #passAnswer(chunk: Buffer): void {
    const { counts, takeCut } = this.#context;
    const cut = takeCut(this.#answerBytes + chunk.length);
    const passing = cut === undefined ? chunk : chunk.subarray(0, Math.max(0, cut.afterBytes - this.#answerBytes));
    this.#clientSpoke = false;
    this.#answerBytes += passing.length;
    counts.received += passing.length;
    if (cut === undefined) {
      this.#client.write(passing);
    } else if (cut.how === "freeze") {
      this.#client.write(passing);
      this.#answers.freeze();
      this.#answers.putBack(chunk.subarray(passing.length));
    } else {
      const { how } = cut;
      this.#answers.discard();
      // The client reads the bytes first: Node.js reports a reset that arrives together with bytes as a plain end.
      this.#client.write(passing, () => setTimeout(() => setImmediate(() => this.cut(how)), 10));
    }
  }
}

/** One direction of a connection: passes on chunks in order, each after the delay. */
class Lane {
  readonly #from: Socket;
  readonly #delayMs: () => number;
  readonly #pass: (chunk: Buffer) => void;
  readonly #end: () => void;
  #queue: { readonly dueAt: number; readonly chunk: Buffer | undefined }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isFrozen = false;
  #isDiscarding = false;

  /** @param end - passes on that the sender has ended */
  constructor(from: Socket, delayMs: () => number, pass: (chunk: Buffer) => void, end: () => void) {
    this.#from = from;
    this.#delayMs = delayMs;
    this.#pass = pass;
    this.#end = end;
    from.on("data", (chunk: Buffer) => this.#push(chunk));
    from.on("end", () => this.#push(undefined));
  }

  freeze(): void {
    this.#isFrozen = true;
    this.#from.pause();
    clearTimeout(this.#timer);
  }

  thaw(): void {
    if (!this.#isFrozen) return;
    this.#isFrozen = false;
    this.#from.resume();
    this.#flush();
  }

  /** Reads on, so that the sender is not held up, and passes on nothing any more. */
  discard(): void {
    this.#isDiscarding = true;
    this.#queue = [];
    this.#from.resume();
  }

  putBack(chunk: Buffer): void {
    this.#queue.unshift({ dueAt: 0, chunk });
  }

  #push(chunk: Buffer | undefined): void {
    if (this.#isDiscarding) return;
    this.#queue.push({ dueAt: performance.now() + this.#delayMs(), chunk });
    this.#flush();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    for (let next = this.#queue[0]; next !== undefined && !this.#isFrozen; next = this.#queue[0]) {
      const waitMs = next.dueAt - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#flush(), waitMs);
        return;
      }
      this.#queue.shift();
      if (next.chunk === undefined) this.#end();
      else this.#pass(next.chunk);
    }
  }
}
