import { SessionError } from "../contract/errors.js";
import type { HttpFramework } from "./http-framework.js";
import type { SessionToSend } from "./session-cookie.js";
import type { Transport } from "./transport.js";

/** Keeps what the response of one request must tell its client about the token, until there is a response. */
export class TokenDelivery<Request, Response> {
  readonly #framework: HttpFramework<Request, Response>;
  readonly #transport: Transport<Request, Response>;
  #pending: SessionToSend | "removal" | undefined;
  #response: Response | undefined;

  constructor(framework: HttpFramework<Request, Response>, transport: Transport<Request, Response>) {
    this.#framework = framework;
    this.#transport = transport;
  }

  get isPending(): boolean {
    return this.#pending !== undefined;
  }

  /** Replaces what was pending. `undefined`: nothing is sent. */
  schedule(pending: SessionToSend | "removal" | undefined): void {
    this.#pending = pending;
  }

  /** Takes note of the response, whose head may be sent from now on. */
  expect(response: Response): void {
    this.#response = response;
  }

  /** Calls the listener once the response has closed, in frameworks that tell. */
  whenClosed(listener: () => void): void {
    if (this.#response !== undefined) this.#framework.onClosed?.(this.#response, listener);
  }

  /** Puts what is pending on the response. */
  deliver(response: Response): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === "removal") this.#transport.remove(response);
    else if (pending !== undefined) this.#transport.send(response, pending);
  }

  /**
   * Refuses to begin or regenerate a session whose token could not be sent: its client would lose it.
   *
   * @throws SessionError `NOT_SUPPORTED`
   */
  requireHead(): void {
    if (this.#response === undefined || !this.#framework.isHeadSent(this.#response)) return;
    const message = `${this.#framework.packageName}: the response has begun, so its client cannot be sent a new token`;
    throw new SessionError("NOT_SUPPORTED", message);
  }
}
