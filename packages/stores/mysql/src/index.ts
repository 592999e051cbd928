export type { MySQLCallback, MySQLConnection, MySQLPool, MySQLQuery, MySQLValue, RowForm } from "./connection.js";
export type { MySQLStoreOptions, TableOptions } from "./options.js";
export { schemaSql } from "./schema.js";
export { MySQLStore } from "./store.js";
