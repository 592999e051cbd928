export type { MemoryStoreOptions } from "./options.js";
export { MemoryStore } from "./store.js";
