import type { EventEmitter } from "node:events";
import pg from "pg";
import type { PostgresClient, PostgresPool } from "./pool.js";

/** The members of a client of `pg` that a request to cancel needs. Its declarations leave most of them out. */
interface CancellableClient {
  readonly processID: number;
  readonly secretKey: unknown;
  readonly host: string;
  readonly port: number;
  readonly ssl: unknown;
  readonly sslNegotiation: unknown;
}

/** The members of a `Connection` of `pg` that a request to cancel needs. */
interface RawConnection extends EventEmitter {
  readonly stream: { destroy(): void; unref?(): void };
  connect(portOrPath: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: unknown): void;
}

/**
 * Asks the server to cancel the statement that runs on a connection. The request travels on a connection of its own.
 *
 * Without it, the server's process would keep waiting for its lock after the client has gone, and would still count as one of
 * the server's connections.
 *
 * @param done - called once: after the server has accepted the request, after a failure, or after `timeoutMs`
 */
export function cancelStatement(client: PostgresClient, pool: PostgresPool, timeoutMs: number, done: () => void): void {
  const raw = isCancellable(client) ? openRaw(client, pool) : undefined;
  if (raw === undefined) {
    done();
    return;
  }
  // This timer bounds no operation: the caller has its answer already.
  const timer = setTimeout(() => raw.stream.destroy(), timeoutMs);
  timer.unref();
  raw.stream.unref?.();
  raw.on("error", () => raw.stream.destroy());
  raw.once("end", () => {
    clearTimeout(timer);
    done();
  });
}

function openRaw(client: CancellableClient, pool: PostgresPool): RawConnection | undefined {
  const { processID, secretKey, host, port, ssl, sslNegotiation } = client;
  const { stream } = (pool.options ?? {}) as { readonly stream?: unknown };
  try {
    // These members and options are public, but missing from the declarations.
    const raw = new pg.Connection({ ssl, sslNegotiation, stream } as object) as unknown as RawConnection;
    const cancel = (): void => raw.cancel(processID, secretKey);
    if (!ssl) raw.once("connect", cancel);
    else {
      if (sslNegotiation !== "direct") raw.once("connect", () => raw.requestSsl());
      raw.once("sslconnect", cancel);
    }
    if (host.startsWith("/")) raw.connect(`${host}/.s.PGSQL.${port}`);
    else raw.connect(port, host);
    return raw;
  } catch {
    // The pool's own `stream` function has failed.
    return undefined;
  }
}

/** Whether a client can be cancelled. A wrapper around a client, or a client of `pg-native`, may lack these members. */
function isCancellable(client: object): client is CancellableClient {
  const { processID, secretKey, host, port } = client as Partial<CancellableClient>;
  return typeof processID === "number" && Boolean(secretKey) && typeof host === "string" && typeof port === "number";
}
