import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { TcpProxy, TestServer } from "@sojourn/test-fixtures";

/** Something that goes wrong, and is mended when `strike` resolves. */
export interface Fault {
  readonly name: string;
  /**
   * The backend may forget what it had acknowledged, or return to an earlier state. Sessions from before are then not
   * judged by anything that happens afterwards.
   */
  readonly forgets?: true;
  strike(random: () => number): Promise<void>;
}

export function networkFaults(proxies: readonly TcpProxy[]): Fault[] {
  const pick = (random: () => number): TcpProxy => {
    const proxy = proxies[Math.floor(random() * proxies.length)];
    if (proxy === undefined) throw new Error("There is no proxy");
    return proxy;
  };
  return [
    { name: "cut", strike: async (random) => pick(random).cut(random() < 0.5 ? "reset" : "close") },
    // The request has arrived, and its answer breaks off.
    { name: "cut-answer", strike: async (random) => pick(random).cutNextAnswer("reset", Math.floor(random() * 100)) },
    {
      name: "freeze",
      async strike(random) {
        const proxy = pick(random);
        proxy.freeze("open");
        await delay(200 + random() * 1_800);
        // Held-back requests arrive late, or never.
        if (random() < 0.5) proxy.cut("reset");
        proxy.thaw();
      },
    },
    {
      name: "outage",
      async strike(random) {
        const proxy = pick(random);
        proxy.freeze("all");
        await delay(100 + random() * 1_000);
        proxy.thaw();
      },
    },
  ];
}

/** SIGSTOP of a server with all its children, for less or more than a store's timeout. */
export function pause(servers: readonly TestServer[]): Fault {
  return {
    name: "pause",
    async strike(random) {
      const server = servers[Math.floor(random() * servers.length)];
      if (server === undefined) return;
      const pids = [server.pid, ...childrenOf(server.pid)];
      for (const pid of pids) signal(pid, "SIGSTOP");
      await delay(100 + random() * 1_600);
      for (const pid of pids) signal(pid, "SIGCONT");
    },
  };
}

/** SIGKILL and a new start. */
export function kill(servers: readonly TestServer[], { forgets }: { forgets: boolean }): Fault {
  return {
    name: "kill",
    ...(forgets ? { forgets } : {}),
    async strike(random) {
      const server = servers[Math.floor(random() * servers.length)];
      await server?.kill();
      await delay(random() * 500);
      await server?.restart();
    },
  };
}

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return children === "" ? [] : children.split(" ").map(Number);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // A child that has ended meanwhile.
  }
}
