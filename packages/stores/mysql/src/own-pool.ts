import { Socket } from "node:net";
import { askForCredentials, type CredentialsFunction, type SessionError, withTimeout } from "@sojourn/core/adapter";
import { createPool, type Pool, type PoolOptions } from "mysql2/promise";
import { packageName } from "./options.js";

/** A pool that the store has opened, with the sockets that it has open at any time. */
export class OwnPool {
  readonly pool: Pool;
  readonly #sockets = new Set<Socket>();

  constructor(options: PoolOptions, credentials: CredentialsFunction | undefined) {
    const stream = credentials && streamWith(credentials, options);
    this.pool = createPool(stream === undefined ? options : { ...options, stream });
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
 * Returns the function by which mysql2 opens the socket of a connection. It asks for the credentials first, which are in the
 * connection's own options before the server's greeting arrives.
 */
function streamWith(credentials: CredentialsFunction, options: PoolOptions): (options: unknown) => Socket {
  const { host = "localhost", port = 3_306, socketPath, localAddress } = options;
  const target =
    socketPath === undefined ? { host, port, ...(localAddress && { localAddress }) } : { path: socketPath };
  return (opened) => {
    // mysql2 hands over the options of the connection, which it declares no type for.
    const { config } = opened as { config: { user: string; password: string } };
    const socket = new Socket().setNoDelay(true).setKeepAlive(true);
    askForCredentials(packageName, credentials).then(
      ({ username, password }) => {
        config.password = password;
        if (username !== undefined) config.user = username;
        // mysql2 destroys it at the end of its own timeout.
        if (!socket.destroyed) socket.connect(target);
      },
      (error: SessionError) => socket.destroy(error),
    );
    return socket;
  };
}
