import type { SessionStore } from "@sojourn/core";

/**
 * What an adapter's tests hand to the kit: a way to open stores, and whatever of the backend can be inspected or broken.
 *
 * Only `name` and `open` are required. Each optional member makes more cases possible; without it they are visible skips.
 */
export interface ConformanceHarness {
  /** Names the suite in the runner's output: `"redis 7, cluster"`. */
  readonly name: string;

  /**
   * Opens a store on a namespace, with whatever set-up it needs (a table, an index) done.
   *
   * Stores opened on one namespace share their sessions, as two nodes of one application do. The kit closes every store
   * that it opened. Namespaces are new ones of the form `t0123456789abcdef`, but for those of `awkwardNamespaces`.
   */
  open(namespace: string): Promise<SessionStore>;

  /**
   * Opens a store that awaits `step` before each request that it sends, such as one over a wrapped client. With it the
   * kit runs operations under every order in which their requests can interleave. Omit where requests cannot be held.
   */
  openStepped?(namespace: string, step: () => Promise<void>): Promise<SessionStore>;

  /** Lets time pass by the store's clock, at once. Omit: the kit really waits. */
  pass?(ms: number): Promise<void>;

  /**
   * Namespaces that this backend must take although they look like something else. Default: `awkwardTexts`, any text of
   * up to 512 bytes. SQL, where a namespace is a table, hands a shorter list.
   */
  readonly awkwardNamespaces?: readonly string[];

  /** Overwrites the stored record of a live session with something unreadable. */
  corrupt?(namespace: string, id: string): Promise<void>;

  /** How many entries (keys, rows, documents, members of a set: records and index) the namespace holds physically. */
  footprint?(namespace: string): Promise<number>;

  /**
   * What the backend itself says of the remaining lifetime of each entry of the namespace, in milliseconds; `undefined`
   * for one that never expires. Only where capabilities say `expiry: "native"`.
   */
  nativeExpiries?(namespace: string): Promise<readonly (number | undefined)[]>;

  /** Makes the backend unreachable for every store, and reachable again. It may forget its sessions meanwhile. */
  readonly outage?: {
    begin(): Promise<void>;
    end(): Promise<void>;
  };

  /** Counts sequential waits on the network; commands sent together count as one. */
  readonly roundTrips?: {
    /** Runs `operation` and returns how many it cost. */
    count(operation: () => Promise<unknown>): Promise<number>;
    /** The most that each operation may cost. One that is left out is not checked. */
    readonly promised: Readonly<Partial<Record<CountedOperation, number>>>;
  };
}

/** The operations of the round-trip table, each on a session of a user. */
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
