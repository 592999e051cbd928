export type { CopyLimits, TieredStoreOptions } from "./options.js";
export type { TierStatistics } from "./statistics.js";
export { TieredStore, type WarmInput } from "./store.js";
