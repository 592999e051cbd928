import { findMongoDB, type ResolvedServer, resolveMySQL, resolvePostgres } from "@sojourn/test-fixtures";
import { expect, test } from "vitest";
import { run } from "./support.js";

test("PostgreSQL: ten processes that start at once all find the schema done", async () => {
  await startTogether(await resolvePostgres(), "@sojourn/postgres", "PostgresStore", "table");
});

test("MySQL or MariaDB: ten processes that start at once all find the schema done", async () => {
  await startTogether(await resolveMySQL(), "@sojourn/mysql", "MySQLStore", "table");
});

test("MongoDB: ten processes that start at once all find the indexes done", async ({ skip }) => {
  const server = await findMongoDB();
  if (typeof server === "string") skip(`FerretDB 1 ends when several clients create indexes at once. ${server}`);
  else await startTogether(server, "@sojourn/mongodb", "MongoStore", "collectionName");
});

/** Each in the words of an application: a store of its own, its schema ensured, one session written. */
async function startTogether(server: ResolvedServer, module: string, store: string, option: string): Promise<void> {
  const options = JSON.stringify({ [option]: `ten_processes_${process.pid}`, timeoutMs: 30_000 });
  const script = `
    import { ${store} } from "${module}";
    const store = ${store}.fromUrl(${JSON.stringify(server.url)}, ${options});
    await store.ensureSchema();
    const session = { id: String(process.pid), userId: "u", payload: "p", idleMs: 60_000, absoluteMs: 60_000 };
    console.log((await store.create(session)).status);
    await store.close();`;
  try {
    const runs = Array.from({ length: 10 }, () => run("node", ["--input-type=module", "-e", script]));
    const created = { status: 0, output: "created\n" };
    expect(await Promise.all(runs)).toEqual(new Array(10).fill(created));
  } finally {
    await server.stop();
  }
}
