import type { SessionManager } from "@sojourn/core";
import type { Response } from "express";

/** The session for which a page listens. */
interface Listener {
  readonly userId: string;
  /** The storage id of the page's own session. */
  readonly id: string;
}

type Kind = "changed" | "ended";

/**
 * Tells open pages, by server-sent events, that sessions of their user began or ended: `ended` for the page's own session,
 * and then the stream ends; `changed` for the others.
 *
 * The events carry no data: a page asks for the list, and its session is checked again. They come from the manager of this
 * process; changes through another process are not seen.
 */
export class LiveSessions {
  readonly #streams = new Map<Response, Listener>();
  readonly #unsubscribe: readonly (() => void)[];

  constructor(manager: SessionManager<Record<string, unknown>>) {
    this.#unsubscribe = [
      manager.on("created", ({ userId, id }) => this.#tell(userId, id)),
      manager.on("destroyed", ({ userId, id }) => this.#tell(userId, id)),
      manager.on("expired", ({ userId, id }) => this.#tell(userId, id)),
    ];
  }

  /** Answers with the event stream of a session. */
  open(response: Response, listener: Listener): void {
    // Its connection takes no further request: a server that stops need not wait for one.
    response.set({ "Content-Type": "text/event-stream", Connection: "close" }).flushHeaders();
    this.#streams.set(response, listener);
    response.on("close", () => this.#streams.delete(response));
  }

  /** Ends all streams. */
  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const response of this.#streams.keys()) response.end();
  }

  #tell(userId: string | undefined, id: string): void {
    for (const [response, listener] of this.#streams) {
      if (listener.id === id) {
        write(response, "ended");
        response.end();
      } else if (listener.userId === userId) write(response, "changed");
    }
  }
}

function write(response: Response, kind: Kind): void {
  // A browser drops an event without data.
  response.write(`event: ${kind}\ndata: ${kind}\n\n`);
}
