import { SessionError, withTimeout } from "@sojourn/core/adapter";
import { Redis } from "ioredis";

export type OwnedClient = Redis;

/** @throws SessionError `INVALID_OPTION` when the URL is none; it is not shown, as it may hold a password */
export function connect(url: string): OwnedClient {
  if (typeof url !== "string" || !URL.canParse(url) || !/^rediss?:\/\//.test(url)) {
    throw new SessionError("INVALID_OPTION", "@sojourn/redis: the URL must be one of redis: or rediss:");
  }
  const client = new Redis(url, {
    lazyConnect: true,
    // A write that was on its way when the connection broke is reported, not sent a second time.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 3,
    retryStrategy: (attempt) => Math.min(50 * attempt, 1_000),
    // A master that became a replica: the name may lead to the new one.
    reconnectOnError: (error) => error.message.startsWith("READONLY"),
  });
  // Without a listener ioredis prints each failure; every operation reports it anyway.
  client.on("error", () => {});
  return client;
}

/** Lets what is on its way finish, for `timeoutMs` at most. */
export async function disconnect(client: OwnedClient, timeoutMs: number): Promise<void> {
  try {
    if (client.status === "ready") await withTimeout(client.quit(), timeoutMs, "@sojourn/redis: close");
  } catch {
    // Closing is all that is left to do.
  } finally {
    client.disconnect();
  }
}
