export type { PostgresClient, PostgresPool, PostgresQuery, PostgresResult } from "./connection.js";
export type { PostgresStoreOptions, TableOptions } from "./options.js";
export { schemaSql } from "./schema.js";
export { PostgresStore } from "./store.js";
