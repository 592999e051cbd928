import type { Names } from "../names.js";
import {
  beginWrite,
  clock,
  commit,
  isLive,
  lockGuard,
  lockSession,
  rollback,
  rollbackOnError,
  sessionVariables,
} from "./common.js";

type WritingVerb = "create" | "change" | "touch";

export function writingProcedures(names: Names): Record<WritingVerb, string> {
  const { sessions } = names;
  const limitVariables = `
  DECLARE v_is_limited BOOLEAN DEFAULT FALSE;
  DECLARE v_count, v_excess BIGINT;`;

  const limitUser = `
  IF p_user_id IS NOT NULL AND p_max IS NOT NULL THEN${lockGuard(names)}
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
        -- Created without a limit since the rows were locked, counted, and destroyed again.
        DECLARE EXIT HANDLER FOR NOT FOUND CLOSE c_oldest;
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
  ${limitUser}
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

    change: `(p_id VARBINARY(512), p_new_id VARBINARY(512), p_sets_payload BOOLEAN, p_payload MEDIUMBLOB,
  p_sets_user BOOLEAN, p_user_id VARBINARY(512), p_idle_ms BIGINT, p_expected_version BIGINT,
  p_max BIGINT, p_evict BOOLEAN)
SQL SECURITY INVOKER
BEGIN
  DECLARE v_outcome VARCHAR(20) DEFAULT 'written';
  DECLARE v_payload MEDIUMBLOB;${sessionVariables}${limitVariables}${twinVariables}
  ${duplicateOnRace}
  ${rollbackOnError}
  ${beginWrite}
  ${limitUser}
  ${lockSession(names)}
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
      id = COALESCE(p_new_id, id), user_id = v_user_id, version = v_version,
      payload = IF(p_sets_payload, COALESCE(p_payload, ''), payload),
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
  ${lockSession(names)}
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
  };
}
