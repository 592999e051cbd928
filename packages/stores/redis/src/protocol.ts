import type { SessionRecord, SessionStore, StoreCapabilities } from "@sojourn/core/adapter";

/** The part of a store that differs between one node and a Cluster. Arguments are checked, errors are classified. */
export interface SessionProtocol
  extends Pick<
    SessionStore,
    "create" | "update" | "touch" | "rename" | "destroy" | "listByUser" | "destroyByUser" | "count" | "clear"
  > {
  readonly capabilities: StoreCapabilities;
}

/** What both protocols can do. Redis holds 512 MiB in a string; a script needs room for copies of it. */
export const commonCapabilities: Omit<StoreCapabilities, "userIndex" | "limit"> = {
  expiryPrecisionMs: 25,
  expiry: "native",
  clock: "server",
  scan: true,
  count: true,
  clear: "enumerate",
  maxPayloadBytes: 32 * 1_024 * 1_024,
};

export function oldestFirst(a: SessionRecord, b: SessionRecord): number {
  return a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1);
}
