import type { Names } from "../names.js";
import { clock, insertedColumns } from "../sql.js";
import { isLive, lockGuard, lockSession, procedure, sessionVariables } from "./common.js";

type WritingProcedure = "create" | "change" | "touch";

const limitVariables = `
  DECLARE v_is_limited BOOLEAN DEFAULT FALSE;
  DECLARE v_count, v_excess BIGINT;`;

const twinVariables = `
  DECLARE v_twin_pk BIGINT UNSIGNED;
  DECLARE v_twin_id VARBINARY(512);
  DECLARE v_twin_expires_at BIGINT;`;

/** Another transaction has inserted the id since it was looked up. */
const duplicateOnRace = { 1062: "SELECT 'duplicate' AS outcome;" };

export function writingProcedures(names: Names): Record<WritingProcedure, string> {
  const { sessions } = names;
  const limit = limitParts(names);
  const twin = twinParts(names);

  return {
    create: procedure({
      parameters: [
        "p_id VARBINARY(512)",
        "p_user_id VARBINARY(512)",
        "p_payload MEDIUMBLOB",
        "p_idle_ms BIGINT",
        "p_absolute_ms BIGINT",
        "p_age_ms BIGINT",
        "p_inactive_ms BIGINT",
        "p_version BIGINT",
        "p_max BIGINT",
        "p_evict BOOLEAN",
      ],
      access: "READ WRITE",
      declarations: `
  DECLARE v_outcome VARCHAR(20) DEFAULT 'created';
  DECLARE v_now, v_expires_at BIGINT;${limitVariables}${twinVariables}`,
      outcomes: duplicateOnRace,
      body: `
  ${limit.lockUser}
  ${twin.lock("p_id")}
  ${limit.lockSessions}
  SET v_now = ${clock};
  ${limit.countSessions}
  IF v_twin_id <=> p_id AND v_twin_expires_at > v_now THEN
    SET v_outcome = 'duplicate';
  ELSEIF v_is_limited AND v_count >= p_max AND NOT p_evict THEN
    SET v_outcome = 'limitReached';
  ELSE
    ${twin.remove("p_id")}
    ${limit.evictOldest}
    SET v_expires_at = v_now + LEAST(p_idle_ms, p_absolute_ms);
    INSERT INTO ${sessions} (${insertedColumns})
      VALUES (p_id, p_user_id, COALESCE(p_payload, ''), p_version, v_now - p_age_ms, v_now - p_inactive_ms,
        v_expires_at, v_now + p_absolute_ms, v_expires_at);
  END IF;`,
      answer: "SELECT v_outcome AS outcome, v_now AS now_ms;",
    }),

    change: procedure({
      parameters: [
        "p_id VARBINARY(512)",
        "p_new_id VARBINARY(512)",
        "p_sets_payload BOOLEAN",
        "p_payload MEDIUMBLOB",
        "p_sets_user BOOLEAN",
        "p_user_id VARBINARY(512)",
        "p_idle_ms BIGINT",
        "p_absolute_ms BIGINT",
        "p_expected_version BIGINT",
        "p_max BIGINT",
        "p_evict BOOLEAN",
      ],
      access: "READ WRITE",
      declarations: `
  DECLARE v_outcome VARCHAR(20) DEFAULT 'written';
  DECLARE v_payload MEDIUMBLOB;${sessionVariables}${limitVariables}${twinVariables}`,
      outcomes: duplicateOnRace,
      body: `
  ${limit.lockUser}
  ${lockSession(names)}
  IF p_new_id IS NOT NULL THEN
    ${twin.lock("p_new_id")}
  END IF;
  SET v_is_limited = v_is_limited AND NOT (p_user_id <=> v_user_id);
  ${limit.lockSessions}
  SET v_now = ${clock};
  ${limit.countSessions}
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
      ${twin.remove("p_new_id")}
    END IF;
    ${limit.evictOldest}
    IF p_sets_user THEN
      SET v_user_id = p_user_id;
    END IF;
    IF p_sets_user OR p_sets_payload THEN
      SET v_version = v_version + 1;
    END IF;
    IF p_absolute_ms IS NOT NULL THEN
      SET v_ends_at = v_now + p_absolute_ms;
    END IF;
    IF p_idle_ms IS NOT NULL THEN
      SET v_last_active_at = GREATEST(v_last_active_at, v_now);
      SET v_expires_at = v_now + p_idle_ms;
    END IF;
    SET v_expires_at = LEAST(v_expires_at, v_ends_at);
    UPDATE ${sessions} SET
      id = COALESCE(p_new_id, id), user_id = v_user_id, version = v_version,
      payload = IF(p_sets_payload, COALESCE(p_payload, ''), payload),
      last_active_at = v_last_active_at, expires_at = v_expires_at, ends_at = v_ends_at,
      sweep_at = LEAST(v_sweep_at, v_expires_at)
      WHERE pk = v_pk;
  END IF;
  IF v_outcome = 'conflict' OR (v_outcome = 'written' AND NOT p_sets_payload) THEN
    SELECT payload INTO v_payload FROM ${sessions} WHERE pk = v_pk;
  END IF;`,
      answer: `SELECT v_outcome AS outcome, v_user_id AS user_id, v_payload AS payload, v_version AS version,
    v_created_at AS created_at, v_last_active_at AS last_active_at, v_expires_at AS expires_at, v_ends_at AS ends_at,
    v_now AS now_ms;`,
    }),

    touch: procedure({
      parameters: ["p_id VARBINARY(512)", "p_idle_ms BIGINT", "p_shorten BOOLEAN"],
      access: "READ WRITE",
      declarations: `
  DECLARE v_is_live BOOLEAN;${sessionVariables}`,
      body: `
  ${lockSession(names)}
  SET v_now = ${clock};
  SET v_is_live = ${isLive};
  IF v_is_live THEN
    SET v_expires_at = LEAST(IF(p_shorten, v_now + p_idle_ms, GREATEST(v_expires_at, v_now + p_idle_ms)), v_ends_at);
    UPDATE ${sessions} SET
      last_active_at = GREATEST(v_last_active_at, v_now), expires_at = v_expires_at,
      sweep_at = LEAST(v_sweep_at, v_expires_at)
      WHERE pk = v_pk;
  END IF;`,
      answer: "SELECT v_is_live AS is_live;",
    }),
  };
}

/** Makes room for a session of user `p_user_id` under the limit `p_max`. */
function limitParts(names: Names): Record<"lockUser" | "lockSessions" | "countSessions" | "evictOldest", string> {
  const { sessions } = names;
  return {
    lockUser: `
  IF p_user_id IS NOT NULL AND p_max IS NOT NULL THEN${lockGuard(names)}
    SET v_is_limited = TRUE;
  END IF;`,

    // With the rows locked, no touch in flight can bring a session back that the count took for expired.
    lockSessions: `
  IF v_is_limited THEN
    SELECT COUNT(*) INTO v_count
      FROM (SELECT pk FROM ${sessions} WHERE user_id = p_user_id ORDER BY pk LIMIT 18446744073709551615) AS k
      STRAIGHT_JOIN ${sessions} AS s ON s.pk = k.pk
      FOR UPDATE;
  END IF;`,

    countSessions: `
  IF v_is_limited THEN
    SELECT COUNT(*) INTO v_count FROM ${sessions} WHERE user_id = p_user_id AND expires_at > v_now;
  END IF;`,

    evictOldest: `
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
    END IF;`,
  };
}

/** Looks up the session that has the id wanted: a live one is in the way, an expired one is removed. */
function twinParts({ sessions }: Names): Record<"lock" | "remove", (id: string) => string> {
  return {
    lock: (id) => `
  SELECT pk INTO v_twin_pk FROM ${sessions} WHERE id = ${id};
  IF v_twin_pk IS NOT NULL THEN
    SELECT id, expires_at INTO v_twin_id, v_twin_expires_at FROM ${sessions} WHERE pk = v_twin_pk FOR UPDATE;
  END IF;`,
    remove: (id) => `
    IF v_twin_id <=> ${id} THEN
      DELETE FROM ${sessions} WHERE pk = v_twin_pk;
    END IF;`,
  };
}
