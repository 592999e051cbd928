const shardCount = 1_024;

/**
 * A Map from strings to slots that never stops to reorganise itself as a whole.
 *
 * A Map of V8 copies all its entries into a new table each time that it has grown, or when as many were deleted: at a
 * million entries that holds the event loop up for a tenth of a second. Here each of many small Maps does so for its own
 * entries alone.
 */
export class ShardedMap {
  readonly #shards: (Map<string, number> | undefined)[] = new Array<undefined>(shardCount).fill(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): number | undefined {
    return this.#shards[shardOf(key)]?.get(key);
  }

  set(key: string, slot: number): void {
    const index = shardOf(key);
    const shard = this.#shards[index] ?? new Map<string, number>();
    this.#shards[index] = shard;
    const before = shard.size;
    shard.set(key, slot);
    this.#size += shard.size - before;
  }

  delete(key: string): void {
    const index = shardOf(key);
    const shard = this.#shards[index];
    if (!shard?.delete(key)) return;
    this.#size -= 1;
    if (shard.size === 0) this.#shards[index] = undefined;
  }
}

const headLength = 8;
const tailLength = 4;

/**
 * The first characters, in which e-mail addresses differ, and the last ones, in which counted ids do: few, because walking all
 * of an id would cost more than looking it up. Keys that all fall into one shard lose the shortness of the pauses and nothing
 * else, because the shard hashes them by itself.
 */
export function shardOf(key: string): number {
  const { length } = key;
  const head = Math.min(length, headLength);
  let hash = length;
  for (let at = 0; at < head; at += 1) hash = Math.imul(hash, 31) + key.charCodeAt(at);
  for (let at = Math.max(head, length - tailLength); at < length; at += 1) {
    hash = Math.imul(hash, 31) + key.charCodeAt(at);
  }
  return (Math.imul(hash, 0x9e3779b1) >>> 16) & (shardCount - 1);
}
