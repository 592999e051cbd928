import type { SessionStore } from "@sojourn/core";

/**
 * The functions that an adapter's tests pass to the kit: opening stores, and inspecting or breaking the backend.
 *
 * Only `name` and `open` are required. Each optional member enables further cases; without it they are shown as
 * skipped.
 */
export interface ConformanceHarness {
  /** The name of the suite in the runner's output, such as `"redis 7, cluster"`. */
  readonly name: string;

  /**
   * Opens a store on a namespace, after any set-up that it needs (a table, an index).
   *
   * Stores on one namespace share their sessions, as two nodes of one application do. The kit closes every store that
   * it opened. Namespaces are new and have the form `t0123456789abcdef`, except those of `awkwardNamespaces`.
   */
  open(namespace: string): Promise<SessionStore>;

  /**
   * Opens a store that awaits `step` before each request, for example over a wrapped client. It lets the kit run
   * operations under every order in which their requests can interleave. Omit where requests cannot be held.
   */
  openStepped?(namespace: string, step: () => Promise<void>): Promise<SessionStore>;

  /** Lets time pass by the store's clock, at once. Omit: the kit waits in real time. */
  pass?(ms: number): Promise<void>;

  /**
   * Namespaces that this backend must accept although they look special. Default: `awkwardTexts`, any text of up to 512
   * bytes. SQL, where a namespace is a table, passes a shorter list.
   */
  readonly awkwardNamespaces?: readonly string[];

  /** Overwrites the stored record of a live session with unreadable data. */
  corrupt?(namespace: string, id: string): Promise<void>;

  /**
   * Returns the number of physical entries (keys, rows, documents, members of a set: records and index) of the
   * namespace.
   */
  footprint?(namespace: string): Promise<number>;

  /**
   * Returns the remaining lifetime of each entry of the namespace as the backend reports it, in milliseconds;
   * `undefined` for an entry that never expires. Only for `expiry: "native"`.
   */
  nativeExpiries?(namespace: string): Promise<readonly (number | undefined)[]>;

  /**
   * Makes the backend unreachable for every store, and reachable again. The backend may lose its sessions meanwhile.
   */
  readonly outage?: {
    begin(): Promise<void>;
    end(): Promise<void>;
  };

  /** Counts sequential waits on the network; commands sent together count as one. */
  readonly roundTrips?: {
    /** Runs `operation` and returns the number of waits. */
    count(operation: () => Promise<unknown>): Promise<number>;
    /** The largest allowed number for each operation. An absent operation is not checked. */
    readonly promised: Readonly<Partial<Record<CountedOperation, number>>>;
  };
}

/** The operations of the round-trip table. Each runs on its own session of a user. */
export type CountedOperation =
  | "get"
  | "create"
  | "createWithLimit"
  | "createEvicting"
  | "update"
  | "updateConflict"
  | "touch"
  | "rename"
  | "destroy"
  | "listByUser"
  | "destroyByUser";
