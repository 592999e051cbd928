import type { Connection } from "./connection.js";

/**
 * The keys that match, in batches of about `batchSize`, node by node. The server's cursor may hand out a key twice while
 * its table is being resized.
 */
export async function* walkKeys(
  connection: Connection,
  operation: string,
  pattern: string,
  batchSize = 500,
): AsyncGenerator<Buffer[], void, undefined> {
  for (const node of await connection.masters(operation)) {
    let cursor = "0";
    do {
      const args = [cursor, "MATCH", pattern, "COUNT", batchSize];
      const reply = await connection.command({ operation, node }, "SCAN", ...args);
      // SCAN answers its next cursor and a list of keys.
      const [next, keys] = reply as [Buffer, Buffer[]];
      cursor = next.toString();
      for (let start = 0; start < keys.length; start += batchSize) yield keys.slice(start, start + batchSize);
    } while (cursor !== "0");
  }
}

/** How many live sessions each of these indexes holds; those that hold none are left out. */
export async function liveSizes(connection: Connection, indexes: readonly Buffer[]): Promise<number[]> {
  const now = await connection.now("count");
  const sizes = indexes.map((index) => connection.command({ operation: "count" }, "ZCOUNT", index, now, "+inf"));
  return (await Promise.all(sizes)).map(Number).filter((size) => size > 0);
}
