import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findBinary, startServer, type TestServer, unprivilegedUser } from "@sojourn/test-fixtures";
import pg from "pg";

export const pgBouncer: string | undefined = findBinary(["pgbouncer"]);

/** PgBouncer in transaction mode before a server, with fewer connections than its clients use at a time. */
export function startPgBouncer(command: string, serverPort: number): Promise<TestServer> {
  return startServer({
    name: "pgbouncer",
    command,
    user: unprivilegedUser("postgres"),
    prepare: async ({ port, dir }) => {
      const lines = [
        "[databases]",
        `* = host=127.0.0.1 port=${serverPort} user=postgres`,
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        `listen_port = ${port}`,
        "unix_socket_dir =",
        "auth_type = any",
        "pool_mode = transaction",
        "default_pool_size = 5",
      ];
      await writeFile(join(dir, "pgbouncer.ini"), lines.join("\n"));
    },
    args: ({ dir }) => [join(dir, "pgbouncer.ini")],
    url: ({ port }) => `postgres://postgres@127.0.0.1:${port}/postgres`,
    async ready({ port }) {
      const client = new pg.Client({ connectionString: `postgres://postgres@127.0.0.1:${port}/postgres` });
      client.on("error", () => {});
      try {
        await client.connect();
        await client.query("SELECT 1");
        return true;
      } finally {
        await client.end();
      }
    },
  });
}
