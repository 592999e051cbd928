export type { MySQLConnection, MySQLPool, MySQLQuery, MySQLValue } from "./connection.js";
export type { MySQLStoreOptions, TableOptions } from "./options.js";
export { schemaSql } from "./schema.js";
export { MySQLStore } from "./store.js";
