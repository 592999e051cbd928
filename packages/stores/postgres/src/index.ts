export type { PostgresDriverOptions, PostgresUrlOptions } from "./from-url.js";
export type { PostgresStoreOptions, TableOptions } from "./options.js";
export type { PostgresClient, PostgresPool, PostgresQuery, PostgresResult } from "./pool.js";
export { schemaSql } from "./schema.js";
export { PostgresStore } from "./store.js";
