const shardCount = 1_024;

/**
 * A Map from strings to slots without long pauses.
 *
 * A Map of V8 copies all its entries into a new table when it has grown, or when as many were deleted: a million
 * entries hold up the event loop for a tenth of a second. Here each of many small Maps copies its own entries only.
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
 * Chooses the shard of a key by its first characters, in which e-mail addresses differ, and its last ones, in which
 * counted ids differ. Reading more would cost more than the lookup. If all keys fall into one shard, only the pauses
 * become longer, because each shard hashes its keys itself.
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
