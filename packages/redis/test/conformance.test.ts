import { resolveRedis } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { Redis } from "ioredis";
import { afterAll, describe, test } from "vitest";
import { harness } from "./harness.js";

const server = await resolveRedis();
const client = new Redis(server.url);
afterAll(async () => {
  client.disconnect();
  await server.stop();
});

describeConformance(harness("redis, one node", client), { describe, test });
