export type { MySQLStoreOptions, MySQLUrlOptions, TableOptions } from "./options.js";
export type { MySQLCallback, MySQLConnection, MySQLPool, MySQLQuery, MySQLValue, RowForm } from "./pool.js";
export { type SchemaOptions, schemaSql } from "./schema.js";
export { MySQLStore } from "./store.js";
