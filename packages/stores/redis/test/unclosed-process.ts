import { RedisStore } from "@sojourn/redis";
import { Redis } from "ioredis";

/* An application that closes its own client and forgets its stores. The parent waits for its end. */

const [, , url = ""] = process.argv;
const client = new Redis(url);
const stores = [new RedisStore({ client, prefix: "unclosed" }), RedisStore.fromUrl(url, { prefix: "unclosed" })];
for (const [n, store] of stores.entries()) {
  await store.create({ id: String(n), payload: "p", idleMs: 60_000, absoluteMs: 60_000 });
}
client.disconnect();
process.disconnect?.();
console.log(`counted ${(await stores[0]?.count())?.sessions}`);
