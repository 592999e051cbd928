// The parent of every server that a test process starts. It outlives that process by a moment: when the channel to it
// closes, however the process ended, it kills the servers and removes their directories.
import { spawn } from "node:child_process";
import { openSync, rmSync } from "node:fs";

/**
 * @typedef {{ type: "spawn", id: number, command: string, args: string[], cwd: string, env?: NodeJS.ProcessEnv,
 *   uid?: number, gid?: number, log: string }
 *   | { type: "adopt", dir: string } | { type: "release", dir: string }} Order
 */

/** @type {Map<number, import("node:child_process").ChildProcess>} */
const servers = new Map();
/** @type {Set<string>} */
const directories = new Set();

process.on("message", (/** @type {Order} */ order) => {
  if (order.type === "adopt") directories.add(order.dir);
  else if (order.type === "release") directories.delete(order.dir);
  else start(order);
});

process.on("disconnect", () => {
  const waiting = [...servers.values()].map((server) => new Promise((resolve) => server.once("exit", resolve)));
  for (const server of servers.values()) server.kill("SIGKILL");
  void Promise.all(waiting).then(() => {
    // A helper that a server has forked may write for a moment longer.
    for (const dir of directories) {
      try {
        rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
      } catch (error) {
        console.error(`${dir} stays behind: ${error}`);
      }
    }
    process.exit(0);
  });
});

/** @param {Extract<Order, { type: "spawn" }>} order */
function start({ id, command, args, cwd, env, uid, gid, log }) {
  const output = openSync(log, "a");
  const server = spawn(command, args, { cwd, env, uid, gid, stdio: ["ignore", output, output] });
  servers.set(id, server);
  server.once("spawn", () => report({ type: "spawned", id, pid: server.pid }));
  server.once("error", (error) => {
    if (server.pid === undefined) ended(`could not be started: ${error.message}`);
  });
  server.once("exit", (code, signal) => ended(signal === null ? `exited with code ${code}` : `ended by ${signal}`));

  /** @param {string} how */
  function ended(how) {
    servers.delete(id);
    report({ type: "ended", id, how });
  }
}

/** @param {object} message */
function report(message) {
  // Without a callback a channel that is just being closed would end this process before it has ended the servers.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}
