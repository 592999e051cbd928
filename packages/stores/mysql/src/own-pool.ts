import { Socket } from "node:net";
import { withTimeout } from "@sojourn/core/adapter";
import { createPool, type Pool, type PoolOptions } from "mysql2/promise";
import { passwordErrorCode } from "./errors.js";

type Password = () => string | Promise<string>;

/** A pool that the store has opened, with the sockets that it has open at any time. */
export class OwnPool {
  readonly pool: Pool;
  readonly #sockets = new Set<Socket>();

  constructor(options: PoolOptions, password: Password | undefined) {
    this.pool = createPool(password === undefined ? options : { ...options, stream: streamWith(password, options) });
    this.pool.on("connection", (connection) => {
      // mysql2 declares no type for its socket, which is public in fact.
      const { stream } = connection as unknown as { stream: Socket };
      this.#sockets.add(stream);
      stream.once("close", () => this.#sockets.delete(stream));
    });
  }

  /** Says goodbye on every connection, and closes those that do not answer in time. */
  async end(timeoutMs: number): Promise<void> {
    try {
      await withTimeout(this.pool.end(), timeoutMs * 0.9, "@sojourn/mysql: close");
      // The goodbye is on its way. A server that does not hear it would otherwise keep the process alive.
      for (const socket of this.#sockets) socket.destroySoon();
    } catch {
      for (const socket of this.#sockets) socket.destroy();
    }
  }
}

/**
 * Returns the function by which mysql2 opens the socket of a connection. The password is asked for first, and is in the
 * connection's own options before the server's greeting arrives.
 */
function streamWith(password: Password, options: PoolOptions): (options: unknown) => Socket {
  const { host = "localhost", port = 3_306, socketPath, localAddress } = options;
  const target =
    socketPath === undefined ? { host, port, ...(localAddress && { localAddress }) } : { path: socketPath };
  return (opened) => {
    // mysql2 hands over the options of the connection, which it declares no type for.
    const { config } = opened as { config: { password: string } };
    const socket = new Socket().setNoDelay(true).setKeepAlive(true);
    askFor(password).then(
      (answer) => {
        config.password = answer;
        // mysql2 destroys it at the end of its own timeout.
        if (!socket.destroyed) socket.connect(target);
      },
      (cause: unknown) => socket.destroy(passwordError(cause)),
    );
    return socket;
  };
}

async function askFor(password: Password): Promise<string> {
  const answer: unknown = await password();
  if (typeof answer === "string") return answer;
  throw new TypeError(`The function returned ${typeof answer}`);
}

function passwordError(cause: unknown): Error {
  return Object.assign(new Error("The function for the password failed", { cause }), { code: passwordErrorCode });
}
