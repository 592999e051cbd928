import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { afterEach, describe, expect, it } from "vitest";
import { resolveServer, startRedis, startServer, type TestServer } from "../src/index.js";

const started: TestServer[] = [];
async function redis(): Promise<TestServer> {
  const server = await startRedis();
  started.push(server);
  return server;
}
afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.stop()));
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("startServer", () => {
  it("starts, restarts on the same port after a kill, and leaves nothing behind", async () => {
    const server = await redis();
    const { port, pid, dir } = server;
    await server.kill();
    expect(isAlive(pid)).toBe(false);
    await server.restart();
    expect(server.port).toBe(port);
    expect(server.pid).not.toBe(pid);
    await server.stop();
    await server.stop();
    expect(isAlive(server.pid)).toBe(false);
    expect(existsSync(dir)).toBe(false);
  });

  it("stops a server that was killed, and one that is paused", async () => {
    const killed = await redis();
    await killed.kill();
    await killed.stop();
    const paused = await redis();
    paused.pause();
    await paused.stop();
    expect(isAlive(paused.pid)).toBe(false);
  });

  it("pauses and resumes", async () => {
    const server = await redis();
    const client = new Redis(server.url, { commandTimeout: 300 });
    client.on("error", () => {});
    expect(await client.ping()).toBe("PONG");
    server.pause();
    await expect(client.ping()).rejects.toThrow("timed out");
    server.resume();
    await expect.poll(() => client.ping().catch(() => "")).toBe("PONG");
    client.disconnect();
  });

  it("gives parallel servers ports of their own", async () => {
    const servers = await Promise.all([redis(), redis(), redis(), redis()]);
    expect(new Set(servers.map(({ port }) => port)).size).toBe(4);
  });

  it("says what a server wrote when it does not come up", async () => {
    const failing = startServer({
      name: "failing",
      command: process.execPath,
      args: () => ["-e", "console.error('no such luck'); process.exit(3)"],
      url: () => "",
      ready: async () => false,
    });
    await expect(failing).rejects.toThrow(/exited with code 3\s+no such luck/);
  });

  it("kills its servers and removes their directories when the test process is killed", async () => {
    const dir = mkdtempSync(join(tmpdir(), "sojourn-supervised-"));
    const parent = spawn(process.execPath, ["--input-type=module", "-e", parentProgram(dir)]);
    const [output]: Buffer[] = await once(parent.stdout, "data");
    const pid = Number(output);
    expect(isAlive(pid)).toBe(true);
    parent.kill("SIGKILL");
    await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
    await expect.poll(() => existsSync(dir), { timeout: 10_000 }).toBe(false);
  });
});

/** Starts a process under the supervisor, as a test does, prints its id, and waits to be killed. */
function parentProgram(dir: string): string {
  const supervisor = fileURLToPath(new URL("../src/supervisor.mjs", import.meta.url));
  const order = { type: "spawn", id: 1, command: "sleep", args: ["600"], cwd: dir, log: join(dir, "server.log") };
  return `
    import { fork } from "node:child_process";
    const supervisor = fork(${JSON.stringify(supervisor)}, { execArgv: [] });
    supervisor.on("message", ({ pid }) => console.log(pid));
    supervisor.send({ type: "adopt", dir: ${JSON.stringify(dir)} });
    supervisor.send(${JSON.stringify(order)});
  `;
}

describe("resolveServer", () => {
  it("says once what was tried and how to help", async () => {
    const nowhere = resolveServer({
      name: "Nowhere",
      variable: "SOJOURN_TEST_NOWHERE_URL",
      binaries: ["nowhere-server"],
      start: () => startRedis(),
      container: { image: "nowhere:1", port: 1, url: () => "" },
      help: "write it",
    });
    await expect(nowhere).rejects.toThrow(
      /SOJOURN_TEST_NOWHERE_URL \(not set\); nowhere-server on this machine \(not found\); a container of nowhere:1/,
    );
  });
});
