import type { DeepReadonly } from "./freeze.js";

/** The data of a session without a narrower type: a JSON object. */
export type SessionData = Record<string, unknown>;

/** Turns the data of an earlier release, which is deeply frozen, into the data of this release. */
export type UpgradeFunction<Data extends object> = (
  data: DeepReadonly<SessionData>,
  from: number,
) => DeepReadonly<Data> | Promise<DeepReadonly<Data>>;
