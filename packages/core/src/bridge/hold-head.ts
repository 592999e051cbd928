import { type ServerResponse, STATUS_CODES } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import { allowDestroy, deferDestroy } from "./defer-destroy.js";
import {
  type HeldMethod,
  type HeldResponse,
  headersSent,
  holdOf,
  type Level,
  levelFor,
  redirect,
} from "./response-methods.js";

/* Node only: responses of node:http, of HTTP/2's compatibility API and of frameworks that use them, such as Express. */

/** A response whose head can be held back. */
export type NodeResponse = ServerResponse | Http2ServerResponse;

/** The work that a response waits for. */
export interface HeadHooks {
  /** Called when the application begins the response. Returns `undefined` when there is nothing to wait for. */
  beforeHead(): Promise<void> | undefined;

  /** Called when a response ends whose head was sent before, such as a stream. */
  beforeEnd(): Promise<void> | undefined;

  /**
   * Called with the error of a hook. If `response.headersSent` is false, the response is as if the application had not begun
   * it, without `content-*`, `etag` and `location`: answer the error. The hooks run again for this answer.
   */
  failed(error: unknown): void;
}

/**
 * Calls hooks before the head of a response is sent, and holds the response back while they work.
 *
 * Meanwhile the response looks as if it were sent: `headersSent` is true, and setting a header throws. Writes are queued with
 * backpressure. The status is the one at the time of the first write.
 *
 * A response that is still being written when a hook fails is answered as plain text, because its writer cannot be stopped.
 * So is one whose `end` another middleware has replaced after this call.
 */
export function holdHead(response: NodeResponse, hooks: HeadHooks): void {
  const hold = holdOf(response);
  if (hold instanceof Hold) hold.add(hooks);
  else redirect(response, new Hold(response, levelFor(response), hooks));
}

/** Whether the head has really been sent: false while it is held back. */
export function isHeadSent(response: NodeResponse): boolean {
  const hold = holdOf(response);
  return hold instanceof Hold ? hold.isHeadSent : response.headersSent;
}

/** Sets a header of a response, also while its head is held back. Keeps the `set-cookie` headers that are already there. */
export function setHeadHeader(response: NodeResponse, name: string, value: string): void {
  const others = name === "set-cookie" ? response.getHeader(name) : undefined;
  const values = others === undefined ? value : [others, value].flat().map(String);
  const setHeader = holdOf(response)?.level.under.setHeader ?? response.setHeader;
  Reflect.apply(setHeader, response, [name, values]);
}

/**
 * `open` until the first write; `held` while hooks work before the head; then `sent`. With the end of the response `ending`
 * while hooks work, then `ended`. `refused` when this class has answered a failure: all later writes are dropped.
 */
type Phase = "open" | "held" | "sent" | "ending" | "ended" | "refused";

interface Call {
  readonly name: HeldMethod;
  readonly args: unknown[];
}

class Hold implements HeldResponse {
  readonly level: Level;
  readonly #response: NodeResponse;
  readonly #hooks: HeadHooks[];
  #phase: Phase;
  #queue: Call[] = [];
  #status: { readonly code: number; readonly message: string } | undefined;
  #hasFailed = false;

  constructor(response: NodeResponse, level: Level, hooks: HeadHooks) {
    this.level = level;
    this.#response = response;
    this.#hooks = [hooks];
    this.#phase = response.headersSent ? "sent" : "open";
  }

  get isHeld(): boolean {
    return this.#phase === "held";
  }

  get isHeadSent(): boolean {
    return this.#phase !== "open" && this.#phase !== "held";
  }

  /** Whether the application has ended a response that is still held back. */
  get hasEnded(): boolean {
    return this.#phase === "ending" || (this.#phase === "held" && this.#queue.some(({ name }) => name === "end"));
  }

  add(hooks: HeadHooks): void {
    this.#hooks.push(hooks);
  }

  call(name: HeldMethod, args: unknown[]): unknown {
    switch (this.#phase) {
      case "open":
        return this.#begin(name, args);
      case "held":
      case "ending":
        return this.#enqueue(name, args);
      case "sent":
        return name === "end" ? this.#end(args) : this.#pass(name, args);
      case "ended":
        return this.#pass(name, args);
      case "refused":
        return name === "write" ? true : this.#response;
    }
  }

  #begin(name: HeldMethod, given: unknown[]): unknown {
    const args = name === "writeHead" ? this.#adoptHeaders(given) : given;
    const work = this.#work("beforeHead");
    if (work === undefined) {
      this.#phase = name === "end" ? "ended" : "sent";
      return this.#pass(name, args);
    }
    this.#phase = "held";
    this.#status = { code: this.#response.statusCode, message: messageOf(this.#response) };
    return this.#wait(work, name, args);
  }

  #end(args: unknown[]): unknown {
    const work = this.#work("beforeEnd");
    this.#phase = work === undefined ? "ended" : "ending";
    return work === undefined ? this.#pass("end", args) : this.#wait(work, "end", args);
  }

  #wait(work: Promise<void>, name: HeldMethod, args: unknown[]): unknown {
    const result = this.#enqueue(name, args);
    work.then(() => this.#release()).catch((error: unknown) => this.#fail(error));
    return result;
  }

  #work(hook: "beforeHead" | "beforeEnd"): Promise<void> | undefined {
    const [first, ...others] = this.#hooks;
    const work = first?.[hook]();
    if (others.length === 0) return work;
    const all = [work, ...others.map((hooks) => hooks[hook]())].filter((each) => each !== undefined);
    return all.length === 0 ? undefined : settleAll(all);
  }

  #enqueue(name: HeldMethod, args: unknown[]): unknown {
    const isFirst = this.#queue.length === 0;
    if (name === "writeHead" && !isFirst) throw headersSent("write");
    if (name !== "_implicitHeader" || isFirst) this.#queue.push({ name, args });
    if (name === "end" && this.#phase === "held") deferDestroy(this.#response);
    if (name === "write") return false;
    return name === "end" || name === "writeHead" ? this.#response : undefined;
  }

  #release(): void {
    const queue = this.#queue;
    const [first, ...others] = queue;
    this.#queue = [];
    this.#restoreStatus();
    allowDestroy(this.#response);
    this.#phase = this.#phase === "ending" || first?.name === "end" ? "ended" : "sent";
    let isFull = first !== undefined && this.#pass(first.name, first.args) === false;
    // The session may have changed between the first write and the end.
    for (const { name, args } of others) isFull = this.call(name, args) === false;
    const hasWritten = queue.some(({ name }) => name === "write");
    if (hasWritten && !isFull && !this.#response.writableEnded) this.#response.emit("drain");
  }

  /** The application may have set the status of a later response that looked as if it came too late. */
  #restoreStatus(): void {
    const status = this.#status;
    const response = this.#response;
    this.#status = undefined;
    if (status === undefined) return;
    if (response.statusCode !== status.code) response.statusCode = status.code;
    if (messageOf(response) !== status.message) response.statusMessage = status.message;
  }

  #fail(error: unknown): void {
    const response = this.#response;
    const isComplete = this.hasEnded || this.#phase === "ended";
    const isWrapped = this.level.over.end?.value !== response.end || this.level.over.write?.value !== response.write;
    const mayAnswer = isComplete && !isWrapped && !this.#hasFailed;
    this.#hasFailed = true;
    this.#phase = "ended";
    this.#callBack(error);
    allowDestroy(response);
    if (response.headersSent) {
      this.#failed(error);
      // The client must not take the response for complete.
      if (!response.writableEnded) response.destroy();
      return;
    }
    this.#status = undefined;
    if (messageOf(response) !== "") response.statusMessage = "";
    for (const name of response.getHeaderNames()) {
      if (/^(content-.*|etag|location)$/.test(name)) response.removeHeader(name);
    }
    if (!mayAnswer) {
      this.#refuse(error);
      return;
    }
    this.#phase = "open";
    this.#failed(error);
  }

  /** Reports an error to the bridge. One report is enough, also if several bridges hold the response. */
  #failed(error: unknown): void {
    this.#hooks[0]?.failed(error);
  }

  #refuse(error: unknown): void {
    const response = this.#response;
    const status = statusOf(error);
    const text = status.isPublic && error instanceof Error ? error.message : STATUS_CODES[status.code];
    response.statusCode = status.code;
    setHeadHeader(response, "content-type", "text/plain; charset=utf-8");
    // The bridge may close the connection of a response that has been sent.
    response.once("close", () => this.#failed(error));
    this.#pass("end", [text]);
    this.#phase = "refused";
  }

  #callBack(error: unknown): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const { args } of queue) {
      const callback = args.at(-1);
      if (typeof callback === "function") process.nextTick(callback, error);
    }
  }

  /** Takes over the headers given to `writeHead`: they would replace those that a hook sets. */
  #adoptHeaders(args: unknown[]): unknown[] {
    const [status, ...others] = args;
    const message = typeof others[0] === "string" ? others.shift() : undefined;
    const [headers] = others;
    if (typeof headers !== "object" || headers === null) return args;
    for (const [name, value] of headerEntries(headers)) {
      Reflect.apply(this.level.under.setHeader, this.#response, [name, value]);
    }
    return message === undefined ? [status] : [status, message];
  }

  #pass(name: HeldMethod, args: unknown[]): unknown {
    return Reflect.apply(this.level.under[name], this.#response, args);
  }
}

/** HTTP/2 has no status message, and warns each time that it is read. */
function messageOf(response: NodeResponse): string {
  return response.req.httpVersionMajor > 1 ? "" : response.statusMessage;
}

/** Resolves when all have ended, so that none sets a header after the response has continued. Rejects with the first error. */
async function settleAll(work: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(work);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** Returns the headers of `writeHead`: an object, a list of pairs, or a flat list. Names may repeat in lists. */
function headerEntries(headers: object): Iterable<[string, unknown]> {
  if (!Array.isArray(headers)) return Object.entries(headers);
  const flat: unknown[] = headers.flatMap((item) => (Array.isArray(item) ? [item[0], item[1]] : [item]));
  const entries = new Map<string, [string, unknown]>();
  for (let at = 0; at < flat.length; at += 2) {
    const name = String(flat[at]);
    const key = name.toLowerCase();
    const former = entries.get(key);
    entries.set(key, former === undefined ? [name, flat[at + 1]] : [name, [former[1], flat[at + 1]].flat()]);
  }
  return entries.values();
}

/** The error's own status, whose message clients may see; else 500. */
function statusOf(error: unknown): { readonly code: number; readonly isPublic: boolean } {
  const code: unknown = typeof error === "object" && error !== null ? Reflect.get(error, "statusCode") : undefined;
  const isStatus = typeof code === "number" && code >= 400 && code <= 599;
  return isStatus ? { code, isPublic: true } : { code: 500, isPublic: false };
}
