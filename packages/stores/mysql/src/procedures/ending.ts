import type { Names } from "../names.js";
import { clock, guardLifetimeMs } from "../sql.js";
import { begin, commit, isLive, lockGuard, lockSession, procedure, sessionVariables } from "./common.js";

type EndingProcedure = "destroy" | "destroy_by_user" | "sweep" | "clear";

export function endingProcedures(names: Names): Record<EndingProcedure, string> {
  const { sessions, guards, suffix } = names;
  return {
    destroy: procedure({
      parameters: ["p_id VARBINARY(512)"],
      access: "READ WRITE",
      declarations: `
  DECLARE v_is_live BOOLEAN;${sessionVariables}`,
      body: `
  ${lockSession(names)}
  SET v_now = ${clock};
  SET v_is_live = ${isLive};
  IF v_id <=> p_id THEN
    DELETE FROM ${sessions} WHERE pk = v_pk;
  END IF;`,
      answer: "SELECT v_is_live AS is_live, v_user_id AS user_id;",
    }),

    destroy_by_user: procedure({
      parameters: ["p_user_id VARBINARY(512)", "p_except VARBINARY(512)"],
      access: "READ WRITE",
      declarations: `
  DECLARE v_pk BIGINT UNSIGNED;
  DECLARE v_id, v_user_id VARBINARY(512);
  DECLARE v_expires_at, v_now BIGINT;
  DECLARE v_done BOOLEAN DEFAULT FALSE;
  DECLARE c_own CURSOR FOR SELECT pk FROM ${sessions} WHERE user_id = p_user_id ORDER BY pk;
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET v_done = TRUE;`,
      body: `
  ${lockGuard(names)}
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
  CLOSE c_own;`,
      answer: "SELECT 'done' AS outcome;",
    }),

    sweep: procedure({
      parameters: ["p_limit BIGINT"],
      access: "READ WRITE",
      declarations: `
  DECLARE v_pk BIGINT UNSIGNED;
  DECLARE v_id, v_user_id VARBINARY(512);
  DECLARE v_expires_at, v_now BIGINT;
  DECLARE v_handled BIGINT DEFAULT 0;
  DECLARE v_done BOOLEAN DEFAULT FALSE;
  DECLARE v_lock VARCHAR(64) DEFAULT CONCAT('sojourn_sweep_${suffix}_', LEFT(SHA2(DATABASE(), 256), 24));
  DECLARE c_due CURSOR FOR SELECT pk FROM ${sessions} WHERE sweep_at <= v_now ORDER BY sweep_at LIMIT p_limit;
  DECLARE c_unused CURSOR FOR
    SELECT user_id FROM ${guards} WHERE used_at <= v_now - ${guardLifetimeMs} ORDER BY used_at LIMIT p_limit;
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET v_done = TRUE;`,
      onError: "DO RELEASE_LOCK(v_lock);",
      body: `
  IF GET_LOCK(v_lock, 0) = 1 THEN
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
    ${begin("READ WRITE")}
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
    DO RELEASE_LOCK(v_lock);
  END IF;`,
      answer: "SELECT v_handled AS handled;",
    }),

    clear: procedure({
      parameters: ["p_up_to BIGINT UNSIGNED", "p_limit BIGINT"],
      access: "READ WRITE",
      declarations: `
  DECLARE v_removed BIGINT;
  DECLARE v_up_to BIGINT UNSIGNED DEFAULT p_up_to;`,
      body: `
  IF v_up_to IS NULL THEN
    SELECT COALESCE(MAX(pk), 0) INTO v_up_to FROM ${sessions};
  END IF;
  DELETE FROM ${sessions} WHERE pk <= v_up_to ORDER BY pk LIMIT p_limit;
  SET v_removed = ROW_COUNT();
  -- By a column that only guards have: another store's table of sessions may have their name.
  DELETE FROM ${guards} WHERE user_id > '' AND used_at >= 0 ORDER BY user_id LIMIT p_limit;`,
      answer: "SELECT v_removed AS removed, v_up_to AS up_to;",
    }),
  };
}
