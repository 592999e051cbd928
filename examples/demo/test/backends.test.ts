import { resolveMemcached, resolveMongo, resolveMySQL, resolvePostgres, resolveRedis } from "@sojourn/test-fixtures";
import { describe, expect, test } from "vitest";
import { startDemo } from "../src/server.js";
import { Client, type ListedSession } from "./client.js";

/** What `SESSION_STORE` names, and nothing else, moves the demo from one backend to another. */
describe.each([
  ["Redis", resolveRedis],
  ["PostgreSQL", resolvePostgres],
  ["MySQL or MariaDB", resolveMySQL],
  ["MongoDB", resolveMongo],
  ["Memcached", resolveMemcached],
])("two nodes of the demo on %s", (_name, resolve) => {
  test("share their sessions: log in on one, list and revoke on the other", async () => {
    const server = await resolve();
    const config = { port: 0, secret: "shared", storeUrl: server.url, warnings: [] };
    const nodes = [await startDemo(config), await startDemo(config)] as const;
    try {
      const [laptop, phone] = [new Client("laptop"), new Client("phone")];
      await laptop.login(nodes[0].url);
      await phone.login(nodes[0].url);
      expect(await laptop.json("GET", `${nodes[1].url}/profile`)).toMatchObject({ user: { name: "admin" } });
      await laptop.json("POST", `${nodes[1].url}/preferences`, { theme: "dark" });
      expect(await laptop.json("GET", `${nodes[0].url}/profile`)).toMatchObject({ preferences: { theme: "dark" } });

      const listed = await laptop.json<ListedSession[]>("GET", `${nodes[1].url}/sessions`);
      expect(listed.map(({ userAgent, current }) => [userAgent, current])).toEqual([
        ["laptop", true],
        ["phone", false],
      ]);
      expect(await laptop.json("POST", `${nodes[0].url}/race`, {})).toMatchObject([
        { store: "express-session's MemoryStore", revived: true },
        { store: expect.stringMatching(/^Sojourn on /), revived: false },
      ]);

      expect((await laptop.send("DELETE", `${nodes[1].url}/sessions/${listed[1]?.id}`)).status).toBe(204);
      expect((await phone.send("GET", `${nodes[0].url}/profile`)).status).toBe(401);

      expect((await laptop.send("POST", `${nodes[0].url}/logout`, {})).status).toBe(204);
      expect(await laptop.send("GET", `${nodes[1].url}/profile`)).toMatchObject({ status: 401 });
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
      await server.stop();
    }
  });
});
