import { startRedis } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { Redis as Redis5 } from "ioredis5";
import { Redis as Valkey } from "iovalkey";
import { afterAll, describe, test } from "vitest";
import { RedisStore } from "../src/index.js";

const server = await startRedis();
const clients = { "ioredis 5": new Redis5(server.url), iovalkey: new Valkey(server.url) };
afterAll(async () => {
  for (const client of Object.values(clients)) client.disconnect();
  await server.stop();
});

for (const [name, client] of Object.entries(clients)) {
  describeConformance(
    { name: `Redis through ${name}`, open: async (namespace) => new RedisStore({ client, prefix: namespace }) },
    { describe, test },
    { rounds: 5, scale: 0.002 },
  );
}
