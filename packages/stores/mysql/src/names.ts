import { createHash } from "node:crypto";
import type { Verb } from "./procedures.js";

/** Part of the names of procedures, so that a release with other ones creates them beside those that old processes call. */
const schemaVersion = 1;

/** MySQL takes names of 64 characters, and the table of guards is named after that of the sessions. */
const maxTableLength = 57;

/** What a store is called in SQL: identifiers come quoted. */
export interface Names {
  readonly sessions: string;
  /** The table with a row per user of whom something was lately decided that depends on all their sessions: a lock. */
  readonly guards: string;
  procedure(verb: Verb): string;
  /** The end of the names of this table's procedures and named locks, by version and table. */
  readonly suffix: string;
}

export function namesOf(table: string): Names {
  // Names of procedures compare without case and accents, those of tables may not: a digest keeps two stores apart.
  const suffix = `v${schemaVersion}_${createHash("sha256").update(table).digest("hex").slice(0, 12)}`;
  return {
    sessions: quote(table),
    guards: quote(`${table}_guards`),
    procedure: (verb) => quote(`sojourn_${verb}_${suffix}`),
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
