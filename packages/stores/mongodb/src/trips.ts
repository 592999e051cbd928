import { type Call, SessionError } from "@sojourn/core/adapter";
import type { Document, OperationOptions, WriteConcernSettings } from "mongodb";
import type { Moment } from "./clock.js";
import type { Connection } from "./connection.js";
import { describeFailure, isUnknownToServer } from "./errors.js";

/** Marks the part of a command that is serialised right before the command is sent: the driver asks it then. */
export type Watch = <Part extends object>(part: Part) => Part;

/** Options that each operation of the driver takes. */
type TripOptions = Pick<OperationOptions, "session">;

interface WriteOptions extends TripOptions {
  readonly writeConcern: WriteConcernSettings;
}

/**
 * The round trips of one operation, with its deadline.
 *
 * The driver waits for a server and for a connection, and sends a command again where the server recognises it. Each command
 * carries a watched part, so that the call learns when it is sent, and so that nothing is sent when the call is over. A
 * connection that has not answered by the deadline is closed by the driver.
 */
export class Trips {
  readonly connection: Connection;
  readonly #call: Call | undefined;
  /** Whether a write has decided: whatever fails from here on, the operation has succeeded. */
  hasDecided = false;

  /** @param call - `undefined` for round trips that several operations wait for */
  constructor(connection: Connection, call: Call | undefined) {
    this.connection = connection;
    this.#call = call;
    if (call === undefined) return;
    call.sent = false;
    const probe = (): void => {
      // A command without an answer: other connections may be as silent.
      if (call.sent) connection.probeIdle();
    };
    // Not a literal: V8 would allocate that in the old generation, with everything that it refers to.
    call.onOver = probe;
  }

  /** The milliseconds until the deadline. */
  get remainingMs(): number {
    return this.#call === undefined ? this.connection.timeoutMs : this.#call.deadline - performance.now();
  }

  /** Returns the server's time. */
  now(): Promise<Moment> {
    return this.connection.now();
  }

  /** Makes a round trip that changes nothing. */
  read<Result>(request: (options: TripOptions, watched: Watch) => Promise<Result>): Promise<Result> {
    return this.#attempt(false, (watched) => request(this.#options(), watched));
  }

  /** Makes a round trip that writes. By default it is done when as many servers have written as the options ask for. */
  write<Result>(
    request: (options: WriteOptions, watched: Watch) => Promise<Result>,
    writeConcern: WriteConcernSettings = this.connection.writeConcern,
  ): Promise<Result> {
    return this.#attempt(true, (watched) => request({ ...this.#options(), writeConcern }, watched));
  }

  /**
   * Makes a write that is answered with the document. A server that sends no part of a document sends all of it; it is
   * asked once more the first time.
   */
  async writeAndReceive<Result>(
    projection: Document,
    request: (options: WriteOptions & { projection?: Document }, watched: Watch) => Promise<Result>,
  ): Promise<Result> {
    const { connection } = this;
    if (connection.sendsParts) {
      try {
        return await this.write((options, watched) => request({ ...options, projection }, watched));
      } catch (error) {
        if (!isUnknownToServer(error)) throw error;
        connection.sendsParts = false;
      }
    }
    return this.write(request);
  }

  #options(): TripOptions {
    // The driver knows this option for each operation, but its types only for the client.
    return { socketTimeoutMS: Math.max(1, Math.ceil(this.remainingMs)) } as TripOptions;
  }

  async #attempt<Result>(isWrite: boolean, request: (watched: Watch) => Promise<Result>): Promise<Result> {
    const { connection } = this;
    let isSent = false;
    const watched: Watch = (part) =>
      watch(part, () => {
        if (this.#call?.over) throw operationOver();
        isSent = true;
        if (this.#call !== undefined) this.#call.sent = true;
      });
    try {
      await connection.connected();
      return await request(watched);
    } catch (error) {
      const { operation = "ensureSchema" } = this.#call ?? {};
      const failure = describeFailure(error, { operation, isSent, isWrite });
      if (failure.retryable) connection.doubtClock();
      throw this.hasDecided ? withUnknownOutcome(failure) : failure;
    }
  }
}

/** Not enumerable: logs of commands show the part as it is. */
function watch<Part extends object>(part: Part, onSerialise: () => void): Part {
  return Object.defineProperty(part, "toBSON", {
    value(this: Part): Part {
      onSerialise();
      return this;
    },
  });
}

/** Keeps the driver from sending. The caller of the operation has been answered. */
function operationOver(): SessionError {
  return new SessionError("TIMEOUT", "@sojourn/mongodb: the operation is over");
}

function withUnknownOutcome(error: SessionError): SessionError {
  return new SessionError(error.code, error.message, { cause: error.cause, outcomeUnknown: true });
}
