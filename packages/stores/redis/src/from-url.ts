import type { ConnectionOptions } from "node:tls";
import { askForCredentials, type CredentialsFunction, SessionError } from "@sojourn/core/adapter";
import type { IoredisClient } from "./client.js";
import { readUrl } from "./url.js";

/** Options of ioredis for the client that `fromUrl` opens. The documentation of ioredis lists them all. */
export interface RedisDriverOptions {
  readonly tls?: ConnectionOptions | undefined;
  /** Milliseconds of silence after which the system probes the connection. */
  readonly keepAlive?: number | undefined;
  /** The version of IP; 0 for any. */
  readonly family?: number | undefined;
  readonly connectionName?: string | undefined;
  readonly [option: string]: unknown;
}

export interface FromUrlOptions {
  /**
   * Options of ioredis, such as `{ tls: { ca }, keepAlive: 30_000 }`. They override the URL. The options that decide
   * whether a command is sent twice are the store's.
   */
  readonly driverOptions?: RedisDriverOptions | undefined;
  /** Called before each new connection, for credentials that rotate. They override the URL. */
  readonly credentials?: CredentialsFunction | undefined;
}

/**
 * Returns a client of ioredis that opens no connection: the store only duplicates it.
 *
 * ioredis is loaded with the first duplicate, so that an application with another client needs no ioredis.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function clientFromUrl(url: string, { driverOptions, credentials }: FromUrlOptions): IoredisClient {
  const options = { ...readUrl(url), ...driverOptions };
  return {
    options,
    callBuffer: () => Promise.reject(new TypeError("a client that is only duplicated sends nothing")),
    duplicate: async (settings) => {
      const { Redis } = await loadIoredis();
      if (credentials === undefined) return new Redis({ ...options, ...settings });
      const { username, password } = await askForCredentials("@sojourn/redis", credentials);
      return new Redis({ ...options, ...(username !== undefined && { username }), password, ...settings });
    },
  };
}

/** The constant specifier lets bundlers find ioredis where it is installed; `catch` lets them go on where it is not. */
function loadIoredis() {
  return import("ioredis").catch((cause: unknown) => {
    const message =
      '@sojourn/redis: fromUrl needs the package "ioredis": run npm install ioredis, or hand a client to the constructor';
    throw new SessionError("INVALID_OPTION", message, { cause });
  });
}
