import { SessionError } from "@sojourn/core";
import type { SessionRecord, StoreCallOptions, StoreCapabilities } from "@sojourn/core/adapter";
import {
  type ConformanceHarness,
  ModelBackend,
  type ModelSession,
  ModelStore,
  type Step,
  steppedStore,
} from "../src/index.js";

/** A backend with the features of real ones: an outage, its own expiry, round trips, other namespaces. */
export class SimulatedBackend extends ModelBackend {
  reachable = true;
  requests = 0;
  opened = 0;
  /** The backend's own expiry time of each entry; `undefined` for an entry that never expires. */
  readonly nativeDeadlines: Map<string, number | undefined> = new Map();
  /** Entries that are no records. A correct store leaves none. */
  readonly leftovers: Set<string> = new Set();
  /** The additional state of a broken store. */
  readonly notes: Map<string, unknown> = new Map();
  readonly namespace: string;
  readonly server: Server;

  constructor(namespace: string, server: Server) {
    super(server.now);
    this.namespace = namespace;
    this.server = server;
  }
}

interface Server {
  readonly backends: Map<string, SimulatedBackend>;
  readonly now: () => number;
}

/** A correct store on this backend. Mutants override it. */
export class SimulatedStore extends ModelStore {
  declare protected readonly backend: SimulatedBackend;
  /** Mutants with two requests await it between them. Only the explorer can act there. */
  step: Step | undefined;

  constructor(backend: SimulatedBackend, declared: Partial<StoreCapabilities>) {
    super(backend, declared);
    backend.opened++;
  }

  protected override assertOpen(call?: StoreCallOptions): void {
    super.assertOpen(call);
    this.backend.requests++;
    if (!this.backend.reachable) throw new SessionError("UNAVAILABLE", "the simulated backend is unreachable");
  }

  protected override write(session: ModelSession): void {
    super.write(session);
    this.backend.nativeDeadlines.set(session.id, session.expiresAt);
  }

  override async *scan(...args: Parameters<ModelStore["scan"]>): AsyncIterable<SessionRecord> {
    if (!this.capabilities.scan) throw new SessionError("NOT_SUPPORTED", "the simulated backend cannot scan");
    yield* super.scan(...args);
  }

  override async count(...args: Parameters<ModelStore["count"]>): ReturnType<ModelStore["count"]> {
    if (!this.capabilities.count) throw new SessionError("NOT_SUPPORTED", "the simulated backend cannot count");
    return super.count(...args);
  }
}

/** The kinds of backends. Together they have each capability in both values. */
export const kinds = {
  swept: { expiry: "sweep", clock: "server" },
  native: {
    expiry: "native",
    clock: "server",
    scan: false,
    count: false,
    userIndex: "eventual",
    limit: "settled",
    clear: "generation",
    expiryPrecisionMs: 1_000,
  },
} as const satisfies Record<string, Partial<StoreCapabilities>>;

export type Kind = keyof typeof kinds;

/** A harness with all optional members. Its time passes only by `pass`. */
export function simulatedHarness(kind: Kind, Store: typeof SimulatedStore = SimulatedStore): ConformanceHarness {
  let now = 1_700_000_000_000;
  const backends = new Map<string, SimulatedBackend>();
  const server: Server = { backends, now: () => now };
  const backendOf = (namespace: string): SimulatedBackend => {
    const backend = backends.get(namespace) ?? new SimulatedBackend(namespace, server);
    backends.set(namespace, backend);
    return backend;
  };
  const living = (namespace: string): ModelSession[] =>
    [...backendOf(namespace).sessions.values()].filter(({ expiresAt }) => kind === "swept" || expiresAt > now);
  let reachable = true;
  const reach = (value: boolean): void => {
    reachable = value;
    for (const backend of backends.values()) backend.reachable = value;
  };
  return {
    name: `simulated backend, ${kind}`,
    open: async (namespace) => {
      const backend = backendOf(namespace);
      backend.reachable &&= reachable;
      return new Store(backend, kinds[kind]);
    },
    openStepped: async (namespace, step) => {
      const store = new Store(backendOf(namespace), kinds[kind]);
      store.step = step;
      return steppedStore(store, step);
    },
    pass: async (ms) => {
      now += ms;
    },
    corrupt: async (namespace, id) => {
      const { sessions } = backendOf(namespace);
      const session = sessions.get(id);
      if (session !== undefined) sessions.set(id, { ...session, payload: undefined });
    },
    footprint: async (namespace) => living(namespace).length + backendOf(namespace).leftovers.size,
    nativeExpiries: async (namespace) =>
      living(namespace).map(({ id }) => {
        const deadline = backendOf(namespace).nativeDeadlines.get(id);
        return deadline === undefined ? undefined : deadline - now;
      }),
    outage: { begin: async () => reach(false), end: async () => reach(true) },
    roundTrips: {
      async count(operation) {
        const before = requests();
        await operation();
        return requests() - before;
      },
      promised: Object.fromEntries(operations.map((name) => [name, 1])),
    },
  };

  function requests(): number {
    return [...backends.values()].reduce((sum, backend) => sum + backend.requests, 0);
  }
}

const operations = [
  "get",
  "create",
  "createWithLimit",
  "createEvicting",
  "update",
  "updateConflict",
  "touch",
  "rename",
  "destroy",
  "listByUser",
  "destroyByUser",
] as const;
