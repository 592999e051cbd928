/**
 * The stored procedures: each verb of the contract in one round trip, in a transaction of its own.
 *
 * Every one of them first takes its locks, then reads the clock, then judges and writes. A row is locked through its
 * primary key alone, looked up by a read that locks nothing: whoever locks an entry of another index first and the row
 * behind it second meets in a deadlock whoever changes that row. Several rows are locked in the order of their keys, and
 * a user's guard before any row.
 *
 * `COALESCE(p_payload, '')`: under MariaDB's mode EMPTY_STRING_IS_NULL an empty payload arrives as NULL.
 *
 * The client gets one result set per session that ended, and last the one with the outcome.
 */

import type { Names } from "./names.js";

export const verbs = [
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

export type Verb = (typeof verbs)[number];

/**
 * Epoch milliseconds by the server's clock. `UNIX_TIMESTAMP(NOW(3))` goes through the session's time zone and is an hour
 * off in the hour that daylight saving repeats. Within a procedure each statement has a clock of its own.
 */
const clock = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000";

/** A guard that nobody has used for this long is removed: it is a lock and holds no data, so that is safe at any time. */
const guardLifetimeMs = 60_000;

/** `NO CHAIN NO RELEASE`: the session's `completion_type` could otherwise begin a transaction here, or disconnect. */
const commit = "COMMIT AND NO CHAIN NO RELEASE;";
const rollback = "ROLLBACK AND NO CHAIN NO RELEASE;";

/**
 * Ends what the connection may have open, as START TRANSACTION would: without autocommit a mere SELECT opens a
 * transaction, and in an open one the isolation level cannot be set. READ COMMITTED: what is read after a lock is what
 * the lock protects, and no gap is locked. READ ONLY: a read-only server refuses any other transaction.
 */
const begin = (access: "READ ONLY" | "READ WRITE"): string => `
  ${commit}
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
  START TRANSACTION ${access};`;
const beginRead = begin("READ ONLY");
const beginWrite = begin("READ WRITE");

/** A procedure that fails must not leave its transaction open on a connection that goes back to the pool. */
const rollbackOnError = `DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ${rollback} RESIGNAL; END;`;

const record = "user_id, payload, version, created_at, last_active_at, expires_at, ends_at";

/**
 * Reads the live ones of so many ids, by a plain SELECT: a CALL costs the server a third more. Always answers a row, from
 * which the caller learns whether the connection has autocommit. The limit overrides `sql_select_limit`.
 */
export function selectSessions({ sessions }: Names, count: number): string {
  const ids = Array.from({ length: count }, () => "?").join(", ");
  return `SELECT id, ${record}, now_ms, @@autocommit AS autocommit
    FROM (SELECT ${clock} AS now_ms) AS c LEFT JOIN ${sessions} ON id IN (${ids}) AND expires_at > now_ms
    LIMIT ${count}`;
}

export function procedures({ sessions, guards, suffix }: Names): Record<Verb, string> {
  const sessionVariables = `
  DECLARE v_pk BIGINT UNSIGNED;
  DECLARE v_id, v_user_id VARBINARY(512);
  DECLARE v_version, v_created_at, v_last_active_at, v_expires_at, v_ends_at, v_sweep_at, v_now BIGINT;`;

  /** Sets the variables above, or leaves them NULL. A rename may have been faster: the caller compares `v_id`. */
  const lockSession = `
  SELECT pk INTO v_pk FROM ${sessions} WHERE id = p_id;
  SELECT id, user_id, version, created_at, last_active_at, expires_at, ends_at, sweep_at
    INTO v_id, v_user_id, v_version, v_created_at, v_last_active_at, v_expires_at, v_ends_at, v_sweep_at
    FROM ${sessions} WHERE pk = v_pk FOR UPDATE;`;
  const isLive = "v_id <=> p_id AND v_expires_at > v_now";

  const limitVariables = `
  DECLARE v_is_limited BOOLEAN DEFAULT FALSE;
  DECLARE v_count, v_excess BIGINT;`;

  const lockGuard = `
  IF p_user_id IS NOT NULL AND p_max IS NOT NULL THEN
    SET v_now = ${clock};
    INSERT INTO ${guards} (user_id, used_at) VALUES (p_user_id, v_now) ON DUPLICATE KEY UPDATE used_at = v_now;
    SET v_is_limited = TRUE;
  END IF;`;

  /** With the rows locked, no touch in flight can bring a session back that the count took for expired. */
  const lockSessionsOfUser = `
  IF v_is_limited THEN
    SELECT COUNT(*) INTO v_count
      FROM (SELECT pk FROM ${sessions} WHERE user_id = p_user_id ORDER BY pk LIMIT 18446744073709551615) AS k
      STRAIGHT_JOIN ${sessions} AS s ON s.pk = k.pk
      FOR UPDATE;
  END IF;`;

  const countSessionsOfUser = `
  IF v_is_limited THEN
    SELECT COUNT(*) INTO v_count FROM ${sessions} WHERE user_id = p_user_id AND expires_at > v_now;
  END IF;`;

  const evictOldest = `
    IF v_is_limited AND v_count >= p_max THEN
      SET v_excess = v_count - p_max + 1;
      BEGIN
        DECLARE v_oldest_pk BIGINT UNSIGNED;
        DECLARE v_oldest_id VARBINARY(512);
        DECLARE c_oldest CURSOR FOR
          SELECT pk, id FROM ${sessions} WHERE user_id = p_user_id AND expires_at > v_now
          ORDER BY created_at, id LIMIT v_excess;
        OPEN c_oldest;
        WHILE v_excess > 0 DO
          FETCH c_oldest INTO v_oldest_pk, v_oldest_id;
          DELETE FROM ${sessions} WHERE pk = v_oldest_pk;
          SELECT v_oldest_id AS id, p_user_id AS user_id;
          SET v_excess = v_excess - 1;
        END WHILE;
        CLOSE c_oldest;
      END;
    END IF;`;

  const twinVariables = `
  DECLARE v_twin_pk BIGINT UNSIGNED;
  DECLARE v_twin_id VARBINARY(512);
  DECLARE v_twin_expires_at BIGINT;`;

  /** The session that has the id wanted: live, it is in the way; expired, it goes. */
  const lockTwin = (id: string): string => `
  SELECT pk INTO v_twin_pk FROM ${sessions} WHERE id = ${id};
  IF v_twin_pk IS NOT NULL THEN
    SELECT id, expires_at INTO v_twin_id, v_twin_expires_at FROM ${sessions} WHERE pk = v_twin_pk FOR UPDATE;
  END IF;`;
  const removeTwin = (id: string): string => `
    IF v_twin_id <=> ${id} THEN
      DELETE FROM ${sessions} WHERE pk = v_twin_pk;
    END IF;`;

  /** Somebody else has inserted the id since it was looked up. */
  const duplicateOnRace = `DECLARE EXIT HANDLER FOR 1062 BEGIN ${rollback} SELECT 'duplicate' AS outcome; END;`;

  return {
    create: `(p_id VARBINARY(512), p_user_id VARBINARY(512), p_payload MEDIUMBLOB,
  p_idle_ms BIGINT, p_absolute_ms BIGINT, p_max BIGINT, p_evict BOOLEAN)
SQL SECURITY INVOKER
BEGIN
  DECLARE v_outcome VARCHAR(20) DEFAULT 'created';
  DECLARE v_now, v_expires_at BIGINT;${limitVariables}${twinVariables}
  ${duplicateOnRace}
  ${rollbackOnError}
  ${beginWrite}
  ${lockGuard}
  ${lockTwin("p_id")}
  ${lockSessionsOfUser}
  SET v_now = ${clock};
  ${countSessionsOfUser}
  IF v_twin_id <=> p_id AND v_twin_expires_at > v_now THEN
    SET v_outcome = 'duplicate';
  ELSEIF v_is_limited AND v_count >= p_max AND NOT p_evict THEN
    SET v_outcome = 'limitReached';
  ELSE
    ${removeTwin("p_id")}
    ${evictOldest}
    SET v_expires_at = v_now + LEAST(p_idle_ms, p_absolute_ms);
    INSERT INTO ${sessions}
      (id, user_id, payload, version, created_at, last_active_at, expires_at, ends_at, sweep_at)
      VALUES (p_id, p_user_id, COALESCE(p_payload, ''), 1, v_now, v_now, v_expires_at, v_now + p_absolute_ms, v_expires_at);
  END IF;
  ${commit}
  SELECT v_outcome AS outcome, v_now AS now_ms;
END`,

    get: `(p_id VARBINARY(512))
SQL SECURITY INVOKER
BEGIN
  ${beginRead}
  SELECT id, ${record}, ${clock} AS now_ms FROM ${sessions} WHERE id = p_id AND expires_at > ${clock};
  ${commit}
END`,

    change: `(p_id VARBINARY(512), p_new_id VARBINARY(512), p_sets_payload BOOLEAN, p_payload MEDIUMBLOB,
  p_sets_user BOOLEAN, p_user_id VARBINARY(512), p_idle_ms BIGINT, p_expected_version BIGINT, p_max BIGINT, p_evict BOOLEAN)
SQL SECURITY INVOKER
BEGIN
  DECLARE v_outcome VARCHAR(20) DEFAULT 'written';
  DECLARE v_payload MEDIUMBLOB;${sessionVariables}${limitVariables}${twinVariables}
  ${duplicateOnRace}
  ${rollbackOnError}
  ${beginWrite}
  ${lockGuard}
  ${lockSession}
  IF p_new_id IS NOT NULL THEN
    ${lockTwin("p_new_id")}
  END IF;
  SET v_is_limited = v_is_limited AND NOT (p_user_id <=> v_user_id);
  ${lockSessionsOfUser}
  SET v_now = ${clock};
  ${countSessionsOfUser}
  IF NOT (${isLive}) THEN
    SET v_outcome = 'missing';
  ELSEIF p_expected_version <> v_version THEN
    SET v_outcome = 'conflict';
  ELSEIF p_new_id IS NOT NULL AND v_twin_id <=> p_new_id AND v_twin_expires_at > v_now THEN
    SET v_outcome = 'duplicate';
  ELSEIF v_is_limited AND v_count >= p_max AND NOT p_evict THEN
    SET v_outcome = 'limitReached';
  ELSE
    IF p_new_id IS NOT NULL THEN
      ${removeTwin("p_new_id")}
    END IF;
    ${evictOldest}
    IF p_sets_user THEN
      SET v_user_id = p_user_id;
    END IF;
    IF p_sets_user OR p_sets_payload THEN
      SET v_version = v_version + 1;
    END IF;
    IF p_idle_ms IS NOT NULL THEN
      SET v_last_active_at = GREATEST(v_last_active_at, v_now);
      SET v_expires_at = LEAST(v_now + p_idle_ms, v_ends_at);
      SET v_sweep_at = LEAST(v_sweep_at, v_expires_at);
    END IF;
    UPDATE ${sessions} SET
      id = COALESCE(p_new_id, id), user_id = v_user_id, payload = IF(p_sets_payload, COALESCE(p_payload, ''), payload), version = v_version,
      last_active_at = v_last_active_at, expires_at = v_expires_at, sweep_at = v_sweep_at
      WHERE pk = v_pk;
  END IF;
  IF v_outcome = 'conflict' OR (v_outcome = 'written' AND NOT p_sets_payload) THEN
    SELECT payload INTO v_payload FROM ${sessions} WHERE pk = v_pk;
  END IF;
  ${commit}
  SELECT v_outcome AS outcome, v_user_id AS user_id, v_payload AS payload, v_version AS version,
    v_created_at AS created_at, v_last_active_at AS last_active_at, v_expires_at AS expires_at, v_ends_at AS ends_at,
    v_now AS now_ms;
END`,

    touch: `(p_id VARBINARY(512), p_idle_ms BIGINT, p_shorten BOOLEAN)
SQL SECURITY INVOKER
BEGIN
  DECLARE v_is_live BOOLEAN;${sessionVariables}
  ${rollbackOnError}
  ${beginWrite}
  ${lockSession}
  SET v_now = ${clock};
  SET v_is_live = ${isLive};
  IF v_is_live THEN
    SET v_expires_at = LEAST(IF(p_shorten, v_now + p_idle_ms, GREATEST(v_expires_at, v_now + p_idle_ms)), v_ends_at);
    UPDATE ${sessions} SET
      last_active_at = GREATEST(v_last_active_at, v_now), expires_at = v_expires_at,
      sweep_at = LEAST(v_sweep_at, v_expires_at)
      WHERE pk = v_pk;
  END IF;
  ${commit}
  SELECT v_is_live AS is_live;
END`,

    destroy: `(p_id VARBINARY(512))
SQL SECURITY INVOKER
BEGIN
  DECLARE v_is_live BOOLEAN;${sessionVariables}
  ${rollbackOnError}
  ${beginWrite}
  ${lockSession}
  SET v_now = ${clock};
  SET v_is_live = ${isLive};
  IF v_id <=> p_id THEN
    DELETE FROM ${sessions} WHERE pk = v_pk;
  END IF;
  ${commit}
  SELECT v_is_live AS is_live, v_user_id AS user_id;
END`,

    destroy_by_user: `(p_user_id VARBINARY(512), p_except VARBINARY(512))
SQL SECURITY INVOKER
BEGIN
  DECLARE v_pk BIGINT UNSIGNED;
  DECLARE v_id, v_user_id VARBINARY(512);
  DECLARE v_expires_at BIGINT;
  DECLARE v_done BOOLEAN DEFAULT FALSE;
  DECLARE c_own CURSOR FOR SELECT pk FROM ${sessions} WHERE user_id = p_user_id ORDER BY pk;
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET v_done = TRUE;
  ${rollbackOnError}
  ${beginWrite}
  OPEN c_own;
  walk_rows: LOOP
    FETCH c_own INTO v_pk;
    IF v_done THEN
      LEAVE walk_rows;
    END IF;
    SET v_id = NULL;
    SELECT id, user_id, expires_at INTO v_id, v_user_id, v_expires_at FROM ${sessions} WHERE pk = v_pk FOR UPDATE;
    SET v_done = FALSE;
    IF v_id IS NOT NULL AND v_user_id <=> p_user_id AND NOT (v_id <=> p_except) THEN
      DELETE FROM ${sessions} WHERE pk = v_pk;
      IF v_expires_at > ${clock} THEN
        SELECT v_id AS id, v_user_id AS user_id;
      END IF;
    END IF;
  END LOOP;
  CLOSE c_own;
  ${commit}
  SELECT 'done' AS outcome;
END`,

    list_by_user: `(p_user_id VARBINARY(512))
SQL SECURITY INVOKER
BEGIN
  ${beginRead}
  SELECT id, ${record}, ${clock} AS now_ms FROM ${sessions}
    WHERE user_id = p_user_id AND expires_at > ${clock} ORDER BY created_at, id;
  ${commit}
END`,

    scan: `(p_after BIGINT UNSIGNED, p_limit BIGINT)
SQL SECURITY INVOKER
BEGIN
  ${beginRead}
  SELECT pk, id, ${record}, ${clock} AS now_ms FROM ${sessions}
    WHERE pk > p_after AND expires_at > ${clock} ORDER BY pk LIMIT p_limit;
  ${commit}
END`,

    count: `()
SQL SECURITY INVOKER
BEGIN
  ${beginRead}
  SELECT COUNT(*) AS sessions, COUNT(user_id) AS sessions_with_user, COUNT(DISTINCT user_id) AS users
    FROM ${sessions} WHERE expires_at > ${clock};
  ${commit}
END`,

    sweep: `(p_limit BIGINT)
SQL SECURITY INVOKER
BEGIN
  DECLARE v_pk BIGINT UNSIGNED;
  DECLARE v_id, v_user_id VARBINARY(512);
  DECLARE v_expires_at, v_now BIGINT;
  DECLARE v_handled BIGINT DEFAULT 0;
  DECLARE v_done BOOLEAN DEFAULT FALSE;
  DECLARE v_lock VARCHAR(64) DEFAULT CONCAT('sojourn_sweep_${suffix}_', LEFT(SHA2(DATABASE(), 256), 24));
  DECLARE c_due CURSOR FOR SELECT pk FROM ${sessions} WHERE sweep_at <= v_now ORDER BY sweep_at LIMIT p_limit;
  DECLARE c_unused CURSOR FOR
    SELECT user_id FROM ${guards} WHERE used_at <= v_now - ${guardLifetimeMs} ORDER BY used_at LIMIT p_limit;
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET v_done = TRUE;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ${rollback} DO RELEASE_LOCK(v_lock); RESIGNAL; END;
  IF GET_LOCK(v_lock, 0) = 1 THEN
    ${beginWrite}
    SET v_now = ${clock};
    OPEN c_due;
    walk_rows: LOOP
      FETCH c_due INTO v_pk;
      IF v_done THEN
        LEAVE walk_rows;
      END IF;
      SET v_id = NULL;
      SELECT id, user_id, expires_at INTO v_id, v_user_id, v_expires_at FROM ${sessions}
        WHERE pk = v_pk FOR UPDATE SKIP LOCKED;
      SET v_done = FALSE;
      IF v_expires_at <= v_now AND v_id IS NOT NULL THEN
        DELETE FROM ${sessions} WHERE pk = v_pk;
        SELECT v_id AS id, v_user_id AS user_id;
        SET v_handled = v_handled + 1;
      ELSEIF v_id IS NOT NULL THEN
        UPDATE ${sessions} SET sweep_at = v_expires_at WHERE pk = v_pk;
        SET v_handled = v_handled + 1;
      END IF;
    END LOOP;
    CLOSE c_due;
    ${commit}
    ${beginWrite}
    SET v_done = FALSE;
    OPEN c_unused;
    walk_guards: LOOP
      FETCH c_unused INTO v_user_id;
      IF v_done THEN
        LEAVE walk_guards;
      END IF;
      SET v_id = NULL;
      SELECT user_id INTO v_id FROM ${guards} WHERE user_id = v_user_id FOR UPDATE SKIP LOCKED;
      SET v_done = FALSE;
      IF v_id IS NOT NULL THEN
        DELETE FROM ${guards} WHERE user_id = v_id;
      END IF;
    END LOOP;
    CLOSE c_unused;
    ${commit}
    DO RELEASE_LOCK(v_lock);
  END IF;
  SELECT v_handled AS handled;
END`,

    clear: `(p_up_to BIGINT UNSIGNED, p_limit BIGINT)
SQL SECURITY INVOKER
BEGIN
  DECLARE v_removed BIGINT;
  DECLARE v_up_to BIGINT UNSIGNED DEFAULT p_up_to;
  ${rollbackOnError}
  ${beginWrite}
  IF v_up_to IS NULL THEN
    SELECT COALESCE(MAX(pk), 0) INTO v_up_to FROM ${sessions};
  END IF;
  DELETE FROM ${sessions} WHERE pk <= v_up_to ORDER BY pk LIMIT p_limit;
  SET v_removed = ROW_COUNT();
  DELETE FROM ${guards} WHERE user_id > '' ORDER BY user_id LIMIT p_limit;
  ${commit}
  SELECT v_removed AS removed, v_up_to AS up_to;
END`,
  };
}
