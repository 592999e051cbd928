export type { MongoStoreOptions, MongoUrlOptions } from "./options.js";
export { MongoStore } from "./store.js";
