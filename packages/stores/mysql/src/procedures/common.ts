/** What the procedures have in common. */

import type { Names } from "../names.js";

/**
 * Epoch milliseconds by the server's clock. `UNIX_TIMESTAMP(NOW(3))` goes through the session's time zone and is an hour
 * off in the hour that daylight saving repeats. Within a procedure each statement has a clock of its own.
 */
export const clock = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000";

/** `NO CHAIN NO RELEASE`: the session's `completion_type` could otherwise begin a transaction here, or disconnect. */
export const commit = "COMMIT AND NO CHAIN NO RELEASE;";
export const rollback = "ROLLBACK AND NO CHAIN NO RELEASE;";

/**
 * Ends what the connection may have open, as START TRANSACTION would: without autocommit a mere SELECT opens a
 * transaction, and in an open one the isolation level cannot be set. READ COMMITTED: what is read after a lock is what
 * the lock protects, and no gap is locked. READ ONLY: a read-only server refuses any other transaction.
 */
const begin = (access: "READ ONLY" | "READ WRITE"): string => `
  ${commit}
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
  START TRANSACTION ${access};`;
export const beginRead: string = begin("READ ONLY");
export const beginWrite: string = begin("READ WRITE");

/** A procedure that fails must not leave its transaction open on a connection that goes back to the pool. */
export const rollbackOnError: string = `DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ${rollback} RESIGNAL; END;`;

/** Of a record, beside the id. */
export const recordColumns = "user_id, payload, version, created_at, last_active_at, expires_at, ends_at";

/** What {@link lockSession} reads, and the clock. */
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
 * Puts in order whatever depends on all sessions of user `p_user_id`: to gain one under a limit, to end them all. Whoever
 * ends them all could otherwise meet a session that just took the place of one that it was about to end.
 */
export function lockGuard({ guards }: Names): string {
  return `
    SET v_now = ${clock};
    INSERT INTO ${guards} (user_id, used_at) VALUES (p_user_id, v_now) ON DUPLICATE KEY UPDATE used_at = v_now;`;
}
