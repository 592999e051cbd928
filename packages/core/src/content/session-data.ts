import type { DeepReadonly } from "./freeze.js";

/** The data of a session when nothing narrower is known: a JSON object. */
export type SessionData = Record<string, unknown>;

/** Makes the data of this release from the data of an earlier one, which is deeply frozen. */
export type UpgradeFunction<Data extends object> = (
  data: DeepReadonly<SessionData>,
  from: number,
) => DeepReadonly<Data> | Promise<DeepReadonly<Data>>;
