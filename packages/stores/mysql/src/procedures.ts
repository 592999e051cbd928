/**
 * The stored procedures: each command in one round trip, in a transaction of its own.
 *
 * Every one of them first takes its locks, then reads the clock, then judges and writes. A row is locked through its
 * primary key alone, looked up by a read that locks nothing: a transaction that locks the entry of another index first and
 * the row behind it second meets in a deadlock with one that changes the row. Several rows are locked in the order of their
 * keys, and a user's guard before any row.
 *
 * `COALESCE(p_payload, '')`: under MariaDB's mode EMPTY_STRING_IS_NULL an empty payload arrives as NULL.
 *
 * The client gets one result set for each session that ended, and last the one with the outcome.
 */

import type { Names, Procedure } from "./names.js";
import { endingProcedures } from "./procedures/ending.js";
import { readingProcedures } from "./procedures/reading.js";
import { writingProcedures } from "./procedures/writing.js";

/** Returns parameters and body of each procedure. */
export function procedures(names: Names): Record<Procedure, string> {
  return { ...writingProcedures(names), ...readingProcedures(names), ...endingProcedures(names) };
}
