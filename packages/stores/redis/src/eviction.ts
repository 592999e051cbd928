import type { Call } from "@sojourn/core/adapter";
import type { RedisClient } from "./client.js";
import { detachedCall } from "./detached-call.js";
import type { Reply } from "./reply.js";

/** The part of a connection that asks each node. */
interface Nodes {
  masters(call: Call): Promise<readonly RedisClient[]>;
  queryNode(call: Call, node: RedisClient, command: string, section: string): Promise<Reply>;
}

/**
 * Warns when the server would drop sessions or indexes to make room: a session then ends early, and a session whose index was
 * dropped lives on unlisted.
 *
 * Rejects when the server could not be asked.
 */
export async function warnOfEviction(nodes: Nodes): Promise<void> {
  const call = detachedCall("INFO");
  for (const node of await nodes.masters(call)) {
    const info = String(await nodes.queryNode(call, node, "INFO", "memory"));
    const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1] ?? "noeviction";
    if (policy === "noeviction" || /^maxmemory:0\r?$/m.test(info)) continue;
    process.emitWarning(
      `@sojourn/redis: maxmemory-policy is "${policy}", so the server may evict live sessions and user indexes. ` +
        'Use "noeviction" for sessions.',
      { type: "SojournWarning", code: "SOJOURN_REDIS_EVICTION" },
    );
    return;
  }
}
