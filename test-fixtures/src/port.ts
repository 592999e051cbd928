import { randomInt } from "node:crypto";
import getPort from "get-port";

/**
 * A port of the loopback interface that nobody uses. It is none of those that the system gives away by itself: a server
 * that is down for a moment would find its port taken by some connection when it comes back.
 */
export function freePort(): Promise<number> {
  return getPort({ host: "127.0.0.1", port: Array.from({ length: 100 }, () => randomInt(12_000, 32_000)) });
}
