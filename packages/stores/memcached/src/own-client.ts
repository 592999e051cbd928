import { defaultTimeoutMs } from "@sojourn/core/adapter";
import memjs from "memjs";
import { assertMemcachedUrlOptions, type MemcachedUrlOptions, parseUrl } from "./options.js";

/**
 * Returns the client of `fromUrl`.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function openClient(url: string, options: MemcachedUrlOptions): memjs.Client {
  assertMemcachedUrlOptions(options);
  const { servers, username, password } = parseUrl(url);
  const seconds = (options.timeoutMs ?? defaultTimeoutMs) / 1_000;
  const serverOptions = { timeout: seconds, conntimeout: seconds, keepAlive: true, ...options.driverOptions };
  return new memjs.Client(
    servers.map(({ host, port }) => new memjs.Server(host, port, username, password, { ...serverOptions })),
    // memjs writes each failure to the console, beside handing it over.
    { failover: false, logger: { log: () => {} } },
  );
}
