import { type Call, SessionError } from "@sojourn/core/adapter";
import type { RedisClient } from "./client.js";
import type { Connection } from "./connection.js";

/** Where a walk over the keys of all nodes goes on. */
export interface WalkPosition {
  /** The addresses of the nodes that are left, the present one first. */
  readonly nodes: readonly string[];
  readonly cursor: string;
  /** Keys that the server has named beyond the size of a step. */
  readonly rest: readonly Buffer[];
}

export interface WalkStep {
  readonly keys: readonly Buffer[];
  /** `undefined` after the last step. */
  readonly next: WalkPosition | undefined;
}

/**
 * Returns the next keys that match, about `size` of them, node by node. The server's cursor may name a key twice while the
 * server resizes its table.
 */
export async function walk(
  connection: Connection,
  call: Call,
  pattern: string,
  size: number,
  from: WalkPosition | undefined,
): Promise<WalkStep> {
  const masters = await connection.masters(call);
  const { nodes, cursor, rest } = from ?? { nodes: masters.map(addressOf), cursor: "0", rest: [] };
  if (rest.length > 0) return step(nodes, cursor, rest, size);
  const node = masters.find((master) => addressOf(master) === nodes[0]);
  if (node === undefined) {
    const message = `@sojourn/redis: ${call.operation}: a node has left the Cluster during the walk`;
    throw new SessionError("UNAVAILABLE", message);
  }
  const reply = await connection.queryNode(call, node, "SCAN", cursor, "MATCH", pattern, "COUNT", size);
  // SCAN answers its next cursor and a list of keys.
  const [next, keys] = reply as [Buffer, Buffer[]];
  return step(nodes, next.toString(), keys, size);
}

/** Calls `visit` for all keys that match, in batches. */
export async function walkAll(
  connection: Connection,
  call: Call,
  pattern: string,
  visit: (keys: readonly Buffer[]) => Promise<void>,
): Promise<void> {
  let from: WalkPosition | undefined;
  do {
    const { keys, next } = await walk(connection, call, pattern, walkSize, from);
    await visit(keys);
    from = next;
  } while (from !== undefined);
}

/** Enough to be fast, few enough that other clients of the server do not notice. */
export const walkSize = 500;

/** Counts the live sessions that each of these indexes holds, and leaves out those that hold none. */
export async function liveSizes(connection: Connection, call: Call, indexes: readonly Buffer[]): Promise<number[]> {
  const now = await connection.now(call);
  const sizes = indexes.map((index) => connection.query(call, "ZCOUNT", index, now, "+inf"));
  return (await Promise.all(sizes)).map(Number).filter((size) => size > 0);
}

function step(nodes: readonly string[], cursor: string, keys: readonly Buffer[], size: number): WalkStep {
  const rest = keys.slice(size);
  const left = cursor === "0" && rest.length === 0 ? nodes.slice(1) : nodes;
  const next = left.length === 0 ? undefined : { nodes: left, cursor, rest };
  return { keys: rest.length === 0 ? keys : keys.slice(0, size), next };
}

/** A client of one node is at the same address whatever it says. */
function addressOf({ options }: RedisClient): string {
  const { host, port }: { host?: unknown; port?: unknown } = options ?? {};
  return `${host}:${port}`;
}

export function startsWith(key: Buffer, prefix: Buffer): boolean {
  return key.length >= prefix.length && key.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
}
