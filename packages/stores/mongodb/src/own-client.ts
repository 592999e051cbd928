import { defaultTimeoutMs, SessionError } from "@sojourn/core/adapter";
import { MongoClient } from "mongodb";
import { assertTimeout, assertUrl, type MongoUrlOptions } from "./options.js";

/** The driver refuses to ask for a server's state more often. */
const minHeartbeatMs = 500;

/**
 * Returns the client of `fromUrl`. It connects with its first request: until then there is nothing to close.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function openClient(url: string, options: MongoUrlOptions): MongoClient {
  assertUrl(url, options);
  const { timeoutMs = defaultTimeoutMs, driverOptions } = options;
  assertTimeout(timeoutMs);
  try {
    return new MongoClient(url, {
      // No operation waits beyond the store's timeout.
      serverSelectionTimeoutMS: timeoutMs,
      waitQueueTimeoutMS: timeoutMs,
      connectTimeoutMS: timeoutMs,
      // So that a server that says nothing is noticed within twice the timeout.
      heartbeatFrequencyMS: Math.max(minHeartbeatMs, Math.floor(timeoutMs / 2)),
      ...driverOptions,
    });
  } catch (error) {
    const message = '@sojourn/mongodb: the driver refuses "url" or "driverOptions"; its error is the cause';
    throw new SessionError("INVALID_OPTION", message, { cause: error });
  }
}
