import type { Connection } from "./connection.js";

/**
 * Warns when the server would drop sessions or indexes to make room: a session then ends early, and one whose index was
 * dropped stays alive without being listed.
 *
 * @throws when the server could not be asked
 */
export async function warnOfEviction(connection: Connection): Promise<void> {
  for (const node of await connection.masters("INFO")) {
    const info = String(await connection.command({ operation: "INFO", node }, "INFO", "memory"));
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
