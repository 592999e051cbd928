import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { MySQLStore } from "@sojourn/mysql";
import { startMySQL } from "@sojourn/test-fixtures";
import { afterAll, expect, test } from "vitest";
import { openPool, openStore } from "./harness.js";

const hour = 3_600_000;
const session = { payload: "p", idleMs: hour, absoluteMs: hour };
const servers = await Promise.all([startMySQL(), startMySQL()]);
const [old, next] = servers;
afterAll(() => Promise.all(servers.map((server) => server.stop())));

/** An address that leads to one server, and after a failover to another. Connections that are open stay as they are. */
async function startAddress(port: number): Promise<{ port: number; lead(port: number): void; stop(): void }> {
  let target = port;
  const sockets = new Set<Socket>();
  const listener = createServer((client) => {
    const server = connect(target, "127.0.0.1");
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
    }
    client.pipe(server).pipe(client);
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return {
    // It listens on a port, not on a path.
    port: (listener.address() as AddressInfo).port,
    lead(to) {
      target = to;
    },
    stop() {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

test.each([true, false])(
  "the old primary is read-only: one write fails, and the next goes to the new one, procedures: %s",
  async (procedures) => {
    for (const { url, port } of servers) {
      const admin = openPool(url);
      await admin.query("SET GLOBAL read_only = 0");
      await admin.query("CREATE USER IF NOT EXISTS app@'127.0.0.1'");
      await admin.query("GRANT ALL ON sojourn.* TO app@'127.0.0.1'");
      await admin.end();
      const owner = openPool(`mysql://app@127.0.0.1:${port}/sojourn`);
      await openStore({ pool: owner, table: "failover", procedures });
      await owner.end();
    }
    const address = await startAddress(old.port);
    const options = { table: "failover", timeoutMs: 5_000, procedures };
    const store = MySQLStore.fromUrl(`mysql://app@127.0.0.1:${address.port}/sojourn`, options);
    await store.clear();
    await Promise.all(Array.from({ length: 5 }, (_, n) => store.create({ id: `s${n}`, ...session })));

    const admin = openPool(old.url);
    await admin.query("SET GLOBAL read_only = 1");
    await admin.end();
    address.lead(next.port);
    await expect(store.create({ id: "first", ...session })).rejects.toMatchObject({
      code: "UNAVAILABLE",
      retryable: true,
      outcomeUnknown: false,
      message: expect.stringContaining("read-only"),
    });
    // The idle connections lead to the old primary as well.
    const created = await Promise.all(Array.from({ length: 5 }, (_, n) => store.create({ id: `t${n}`, ...session })));
    expect(created.map(({ status }) => status)).toEqual(Array(5).fill("created"));
    expect(await store.get("t0")).toMatchObject({ id: "t0" });
    await store.clear();
    await store.close();
    address.stop();
  },
);
