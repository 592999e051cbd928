export type { MongoStoreOptions } from "./options.js";
export { MongoStore } from "./store.js";
