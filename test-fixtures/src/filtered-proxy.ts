import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import type { Server } from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findBinary } from "./machine.js";
import { TcpProxy } from "./tcp-proxy.js";

/** A proxy whose clients reach it through a network namespace with a packet filter. */
export interface FilteredProxy {
  readonly proxy: TcpProxy;
  readonly url: string;
  /** The address of this machine that the namespace is connected to. */
  readonly hostAddress: string;
  /**
   * Drops every packet of the connections that are open now, in both directions, without a word: the kernels on both ends
   * retransmit and hear nothing. New connections pass.
   */
  dropPackets(): Promise<void>;
  /** Lets the packets of dropped connections pass again. */
  passPackets(): Promise<void>;
  stop(): Promise<void>;
}

const tools = ["unshare", "nsenter", "ip", "nft"];

/** Why a filtered proxy cannot be started here, as the reason of a skipped test; `undefined` if it can. */
export function whyNoPacketFilter(): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "network namespaces need root on Linux";
  const missing = tools.filter((tool) => findBinary([tool]) === undefined);
  if (missing.length > 0) return `not installed: ${missing.join(", ")} (apt-get install util-linux iproute2 nftables)`;
  const trial = spawnSync(toolPath("unshare"), ["--net", toolPath("nft"), "add", "table", "inet", "trial"], {
    encoding: "utf8",
  });
  return trial.status === 0 ? undefined : `not permitted here: ${trial.error?.message ?? trial.stderr.trim()}`;
}

/**
 * Starts a proxy in front of the server at `url`, in a network namespace that a pair of virtual interfaces connects to
 * this machine. The namespace ends with this process, also when it is killed.
 */
export async function startFilteredProxy(url: string): Promise<FilteredProxy> {
  const { holder, listener } = await startNamespace();
  const inside: Run = (command, args) =>
    run("nsenter", [`--net=/proc/${holder.pid}/ns/net`, "--", toolPath(command), ...args]);
  const nft = (...commands: readonly string[]): Promise<void> => inside("nft", [commands.join("\n")]);
  const proxy = new TcpProxy(url);
  const stop = async (): Promise<void> => {
    await proxy.stop();
    listener.close();
    if (!holder.connected) return;
    const exited = once(holder, "exit");
    holder.disconnect();
    await exited;
  };
  let hostAddress: string;
  try {
    await nft(...filter);
    const { inner, outer } = await connectNamespace(holder.pid, inside);
    await proxy.listen({ host: inner, on: listener });
    hostAddress = outer;
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    proxy,
    url: proxy.url,
    hostAddress,
    async dropPackets() {
      const ports = proxy.clientPorts;
      if (ports.length > 0) await nft(`add element inet silence dropped { ${ports.join(", ")} }`);
    },
    passPackets: () => nft("flush set inet silence dropped"),
    stop,
  };
}

/** Drops what comes from or goes to a client's port in the set `dropped`. */
const filter = [
  "add table inet silence",
  "add set inet silence dropped { type inet_service; }",
  "add chain inet silence input { type filter hook input priority 0; }",
  "add chain inet silence output { type filter hook output priority 0; }",
  "add rule inet silence input tcp sport @dropped drop",
  "add rule inet silence output tcp dport @dropped drop",
];

/** @returns the process that holds the namespace, and a server that listens there */
async function startNamespace(): Promise<{ holder: ChildProcess; listener: Server }> {
  const script = fileURLToPath(new URL("./namespace.mjs", import.meta.url));
  const holder = spawn(toolPath("unshare"), ["--net", process.execPath, script], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const exited = once(holder, "exit").then(([code]) => {
    throw new Error(`the process of the network namespace exited with code ${code}`);
  });
  exited.catch(() => {});
  const [, listener] = await Promise.race([once(holder, "message"), exited]);
  holder.unref();
  holder.channel?.unref();
  return { holder, listener };
}

/**
 * Connects a namespace to this machine by a subnet of its own.
 *
 * @returns the addresses of the namespace and of this machine
 */
async function connectNamespace(pid: number | undefined, inside: Run): Promise<{ inner: string; outer: string }> {
  for (let attempt = 1; ; attempt++) {
    // 198.18.0.0/16 is set aside for tests of networks (RFC 2544).
    const subnet = randomInt(16_384);
    const address = (n: number): string => `198.18.${subnet >> 6}.${((subnet & 63) << 2) + n}`;
    const [outer, inner] = [address(1), address(2)];
    const name = `sojourn${subnet}`;
    try {
      await run("ip", ["link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", String(pid)]);
    } catch (error) {
      const isTaken = error instanceof Error && error.message.includes("File exists");
      if (attempt === 5 || !isTaken) throw error;
      continue;
    }
    await run("ip", ["address", "add", `${outer}/30`, "dev", name]);
    await run("ip", ["link", "set", name, "up"]);
    await inside("ip", ["address", "add", `${inner}/30`, "dev", "eth0"]);
    await inside("ip", ["link", "set", "eth0", "up"]);
    return { inner, outer };
  }
}

type Run = (command: string, args: readonly string[]) => Promise<void>;

const run: Run = async (command, args) => void (await promisify(execFile)(toolPath(command), args));

/** Tools of the system are not on each user's PATH. */
function toolPath(name: string): string {
  return findBinary([name]) ?? name;
}
