import { createHash } from "node:crypto";

/** A part of the names of procedures: a release with other procedures creates them beside those that older processes call. */
const schemaVersion = 2;

/** MySQL takes names of 64 characters, and the table of guards is named after the table of sessions. */
const maxTableLength = 57;

export const procedureNames = [
  "create",
  "get",
  "change",
  "touch",
  "destroy",
  "destroy_by_user",
  "list_by_user",
  "scan",
  "count",
  "sweep",
  "clear",
] as const;

export type Procedure = (typeof procedureNames)[number];

/** The names of a store in SQL: identifiers come quoted. */
export interface Names {
  readonly sessions: string;
  /** The table of guards. A transaction whose outcome depends on all sessions of a user locks the user's guard row. */
  readonly guards: string;
  procedure(procedure: Procedure): string;
  /** The end of the names of this table's procedures and named locks, by version and table. */
  readonly suffix: string;
}

export function namesOf(table: string): Names {
  // Names of procedures compare without case and accents, names of tables may not: a digest keeps two stores apart.
  const suffix = `v${schemaVersion}_${createHash("sha256").update(table).digest("hex").slice(0, 12)}`;
  return {
    sessions: quote(table),
    guards: quote(`${table}_guards`),
    procedure: (procedure) => quote(`sojourn_${procedure}_${suffix}`),
    suffix,
  };
}

/** Whether MySQL takes a name for a table: identifiers hold no NUL, nothing beyond U+FFFF and no space at the end. */
export function isTableName(value: unknown): value is string {
  if (typeof value !== "string" || value.length === 0 || value.length > maxTableLength) return false;
  return !/[\0\u{D800}-\u{DFFF}\u{10000}-\u{10FFFF}]/u.test(value) && !value.endsWith(" ");
}

function quote(identifier: string): string {
  return `\`${identifier.replaceAll("`", "``")}\``;
}
