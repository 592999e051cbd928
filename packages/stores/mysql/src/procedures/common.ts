/** The common parts of the procedures. */

import type { Names } from "../names.js";
import { clock } from "../sql.js";

/** `NO CHAIN NO RELEASE`: the session's `completion_type` could otherwise begin a transaction here, or disconnect. */
export const commit = "COMMIT AND NO CHAIN NO RELEASE;";
const rollback = "ROLLBACK AND NO CHAIN NO RELEASE;";

/**
 * Ends the transaction that the connection may have open, as START TRANSACTION would: without autocommit a mere SELECT opens
 * one, and in an open one the isolation level cannot be set. READ COMMITTED: a read after a lock sees the rows that the lock
 * protects, and no gap is locked. READ ONLY: a read-only server refuses any other transaction.
 */
export const begin = (access: "READ ONLY" | "READ WRITE"): string => `
  ${commit}
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
  START TRANSACTION ${access};`;

/** `p_wait`: how many seconds each wait for a lock may take, or NULL. The connection's own settings are put back. */
const boundWaits = `
  IF p_wait IS NOT NULL THEN
    SET SESSION innodb_lock_wait_timeout = p_wait, lock_wait_timeout = p_wait;
  END IF;`;
const restoreWaits = `
  IF p_wait IS NOT NULL THEN
    SET SESSION innodb_lock_wait_timeout = v_row_wait, lock_wait_timeout = v_table_wait;
  END IF;`;

export interface ProcedureParts {
  readonly parameters?: readonly string[];
  readonly access: "READ ONLY" | "READ WRITE";
  /** Declarations of variables, and after them of cursors. */
  readonly declarations?: string;
  /** Runs after an error that `outcomes` does not list. */
  readonly onError?: string;
  /** A further outcome, by the errno that it begins with. */
  readonly outcomes?: Readonly<Record<number, string>>;
  /** Runs in a transaction. */
  readonly body: string;
  /** Runs after it. */
  readonly answer?: string;
}

/**
 * Returns parameters and body of a procedure that runs in a transaction of its own.
 *
 * A procedure that fails must not leave its transaction open on a connection that goes back to the pool.
 */
export function procedure(parts: ProcedureParts): string {
  const { parameters = [], access, declarations = "", onError = "", outcomes = {}, body, answer = "" } = parts;
  const outcomeHandlers = Object.entries(outcomes).map(
    ([errno, statement]) => `
  DECLARE EXIT HANDLER FOR ${errno} BEGIN ${rollback} ${restoreWaits} ${statement} END;`,
  );
  return `(${[...parameters, "p_wait BIGINT"].join(", ")})
SQL SECURITY INVOKER
BEGIN
  DECLARE v_row_wait BIGINT DEFAULT @@innodb_lock_wait_timeout;
  DECLARE v_table_wait BIGINT DEFAULT @@lock_wait_timeout;${declarations}${outcomeHandlers.join("")}
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ${rollback} ${restoreWaits} ${onError} RESIGNAL; END;
  ${boundWaits}
  ${begin(access)}
  ${body}
  ${commit}
  ${restoreWaits}
  ${answer}
END`;
}

/** The variables that {@link lockSession} sets, and the clock. */
export const sessionVariables: string = `
  DECLARE v_pk BIGINT UNSIGNED;
  DECLARE v_id, v_user_id VARBINARY(512);
  DECLARE v_version, v_created_at, v_last_active_at, v_expires_at, v_ends_at, v_sweep_at, v_now BIGINT;`;

export const isLive: string = "v_id <=> p_id AND v_expires_at > v_now";

/** Sets the variables above, or leaves them NULL. A rename may have been faster: the caller compares `v_id`. */
export function lockSession({ sessions }: Names): string {
  return `
  SELECT pk INTO v_pk FROM ${sessions} WHERE id = p_id;
  SELECT id, user_id, version, created_at, last_active_at, expires_at, ends_at, sweep_at
    INTO v_id, v_user_id, v_version, v_created_at, v_last_active_at, v_expires_at, v_ends_at, v_sweep_at
    FROM ${sessions} WHERE pk = v_pk FOR UPDATE;`;
}

/**
 * Locks the guard of user `p_user_id`, before a step that depends on all of the user's sessions: gaining one under a limit,
 * or ending them all. Two such steps at once could each miss the session that the other one adds.
 */
export function lockGuard({ guards }: Names): string {
  return `
    SET v_now = ${clock};
    INSERT INTO ${guards} (user_id, used_at) VALUES (p_user_id, v_now) ON DUPLICATE KEY UPDATE used_at = v_now;`;
}
