import {
  announceWrites,
  type BusMessage,
  type SessionBus,
  SessionManager,
  type SessionManagerOptions,
} from "@sojourn/core";
import { BusListeners } from "@sojourn/core/adapter";
import { LiveSessions, type LiveSessionsOptions } from "@sojourn/live";
import { MemoryStore } from "@sojourn/memory";
import { onTestFinished } from "vitest";

/** A bus within the process that can go down, and lose messages. */
export class FragileBus implements SessionBus {
  readonly #listeners = new BusListeners();
  /** Whether messages are lost without a state. */
  isDeaf = false;

  constructor() {
    this.#listeners.state("up");
  }

  subscribe(listener: Parameters<SessionBus["subscribe"]>[0]): () => void {
    return this.#listeners.add(listener);
  }

  publish(message: BusMessage): void {
    if (!this.isDeaf && this.#listeners.isUp) this.#listeners.message(message);
  }

  turn(state: "up" | "down" | "gap"): void {
    this.#listeners.state(state);
  }

  async close(): Promise<void> {
    this.#listeners.state("down");
  }
}

export interface Node {
  readonly sessions: SessionManager;
  readonly live: LiveSessions;
}

type NodeOptions = Omit<SessionManagerOptions, "store"> & Pick<LiveSessionsOptions, "maxStale" | "origins">;

/** Nodes of one application in this process: each has its manager and live sessions, and they share a store and a bus. */
export function openNodes<const Count extends number>(
  count: Count,
  { maxStale = "1h", origins, ...options }: NodeOptions = {},
  inner = new MemoryStore(),
): { nodes: Node[]; bus: FragileBus } {
  const bus = new FragileBus();
  const store = announceWrites(inner, bus);
  const nodes = Array.from({ length: count }, () => {
    const sessions = new SessionManager({ ...options, store });
    const live = new LiveSessions({ sessions, bus, maxStale, origins });
    onTestFinished(async () => {
      live.close();
      await sessions.close();
    });
    return { sessions, live };
  });
  return { nodes, bus };
}

/** The two nodes of a test: sessions end on one, and the other has the connections. */
export function openPair(options?: NodeOptions, store?: MemoryStore): { here: Node; there: Node; bus: FragileBus } {
  const { nodes, bus } = openNodes(2, options, store);
  const [here, there] = nodes;
  if (here === undefined || there === undefined) throw new Error("two nodes were asked for");
  return { here, there, bus };
}

/** Waits until all reads that were begun have been answered: the memory store answers within a turn. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
