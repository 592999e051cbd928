import { dollarQuote, type Names } from "./names.js";
import { changedColumns, clock, insertSession, later } from "./sql.js";

/** The SQLSTATE with which the functions refuse a transaction that is not READ COMMITTED. */
export const wrongIsolation = "SJ001";

/**
 * Returns the SQL of the functions.
 *
 * An operation that locks a user or reads several rows is a function: one round trip, and each of its statements sees
 * everything that was committed before it began. That holds at READ COMMITTED only. With a snapshot older than the lock, 50
 * logins at once left up to 50 sessions where 5 were allowed.
 *
 * All functions take locks in one order, first the user, then rows by id, so they cannot deadlock. They read the clock after
 * the last lock.
 */
export function createFunctions(names: Names): string {
  const { table } = names;
  return `${makeRoom(names)}
${func(
  names,
  names.create,
  `p_id text, p_user text, p_payload bytea, p_idle float8, p_absolute float8, p_age float8, p_inactive float8,
  p_version bigint, p_max bigint, p_evict boolean,
  OUT status text, OUT session ${table}, OUT evicted text[], OUT clock timestamptz`,
  `BEGIN
  ${requireReadCommitted}
  ${lockUser(names, "p_user")}
  IF EXISTS (SELECT FROM ${table} s WHERE s.id = p_id AND s.expires_at > ${clock}) THEN
    status := 'duplicate';
    RETURN;
  END IF;
  evicted := ${names.makeRoom}(p_user, p_max, p_evict, p_id);
  IF evicted IS NULL THEN
    status := 'limitReached';
    RETURN;
  END IF;
  clock := ${clock};
  ${insertSession(names, {
    id: "p_id",
    user: "p_user",
    payload: "p_payload",
    idle: "p_idle",
    absolute: "p_absolute",
    age: "p_age",
    inactive: "p_inactive",
    version: "p_version",
    now: "clock",
  })}
  RETURNING s.* INTO session;
  IF NOT FOUND THEN
    -- Another user's call created the id after the check above: roll back the evictions, and let the caller try again.
    RAISE unique_violation USING MESSAGE = 'the id has just been taken';
  END IF;
  session.payload := NULL;
  status := 'written';
END`,
)}
${func(
  names,
  names.change,
  `p_id text, p_new_id text, p_version bigint, p_payload bytea, p_sets_user boolean, p_user text, p_idle float8,
  p_absolute float8, p_max bigint, p_evict boolean,
  OUT status text, OUT session ${table}, OUT evicted text[], OUT clock timestamptz`,
  `DECLARE
  new_end timestamptz;
BEGIN
  ${requireReadCommitted}
  evicted := '{}';
  IF p_max IS NOT NULL THEN
    ${lockUser(names, "p_user")}
    PERFORM FROM ${table} s WHERE s.id = p_id OR s.user_id = p_user ORDER BY s.id FOR UPDATE;
  END IF;
  SELECT s.* INTO session FROM ${table} s WHERE s.id = p_id FOR UPDATE;
  clock := ${clock};
  IF session.id IS NULL OR session.expires_at <= clock THEN
    status := 'missing';
    session := NULL;
    RETURN;
  END IF;
  IF session.version <> p_version THEN
    status := 'conflict';
    RETURN;
  END IF;
  IF p_new_id IS NOT NULL THEN
    DELETE FROM ${table} s WHERE s.id = p_new_id AND s.expires_at <= clock;
    IF EXISTS (SELECT FROM ${table} s WHERE s.id = p_new_id) THEN
      status := 'duplicate';
      RETURN;
    END IF;
  END IF;
  IF p_max IS NOT NULL AND session.user_id IS DISTINCT FROM p_user THEN
    evicted := ${names.makeRoom}(p_user, p_max, p_evict, p_id);
    IF evicted IS NULL THEN
      status := 'limitReached';
      RETURN;
    END IF;
  END IF;
  new_end := coalesce(${later("clock", "p_absolute")}, session.ends_at);
  UPDATE ${table} s SET
    id = coalesce(p_new_id, s.id),
    ends_at = new_end,
    ${changedColumns({
      payload: "p_payload",
      setsUser: "p_sets_user",
      user: "p_user",
      idle: "p_idle",
      ends: "new_end",
      now: "clock",
    })}
  WHERE s.id = p_id RETURNING s.* INTO session;
  IF p_payload IS NOT NULL THEN
    -- The caller has the payload: do not send it back.
    session.payload := NULL;
  END IF;
  status := 'written';
END`,
)}
${func(
  names,
  names.destroyByUser,
  "p_user text, p_except text, OUT id text",
  `BEGIN
  ${requireReadCommitted}
  ${lockUser(names, "p_user")}
  PERFORM FROM ${table} s WHERE s.user_id = p_user ORDER BY s.id FOR UPDATE;
  RETURN QUERY WITH ended AS (
    DELETE FROM ${table} s
    WHERE s.user_id = p_user AND s.id IS DISTINCT FROM p_except AND s.expires_at > ${clock}
    RETURNING s.id, s.created_at
  ) SELECT e.id FROM ended e ORDER BY e.created_at, e.id;
END`,
  "SETOF text",
)}`;
}

/**
 * Makes room for one more session of a user whose lock is held. Returns the ids of the evicted sessions, or NULL when the
 * limit refuses the new one.
 *
 * It locks all rows of the user before it chooses, because a chosen session that is renamed meanwhile would survive.
 */
function makeRoom(names: Names): string {
  const { table } = names;
  const others = "s.user_id = p_user AND s.id <> p_keep";
  return func(
    names,
    names.makeRoom,
    "p_user text, p_max bigint, p_evict boolean, p_keep text, OUT evicted text[]",
    `DECLARE
  clock timestamptz := ${clock};
  surplus bigint;
BEGIN
  evicted := '{}';
  SELECT count(*) + 1 - p_max INTO surplus FROM ${table} s WHERE ${others} AND s.expires_at > clock;
  IF surplus <= 0 THEN
    RETURN;
  END IF;
  IF NOT p_evict THEN
    evicted := NULL;
    RETURN;
  END IF;
  PERFORM FROM ${table} s WHERE ${others} ORDER BY s.id FOR UPDATE;
  clock := ${clock};
  SELECT count(*) + 1 - p_max INTO surplus FROM ${table} s WHERE ${others} AND s.expires_at > clock;
  WITH gone AS (
    DELETE FROM ${table} d WHERE d.id IN (
      SELECT s.id FROM ${table} s WHERE ${others} AND s.expires_at > clock
      ORDER BY s.created_at, s.id LIMIT greatest(surplus, 0)
    ) RETURNING d.id, d.created_at
  ) SELECT coalesce(array_agg(g.id ORDER BY g.created_at, g.id), '{}') INTO evicted FROM gone g;
END`,
  );
}

const requireReadCommitted = `IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'Sojourn needs the isolation level READ COMMITTED' USING ERRCODE = '${wrongIsolation}';
  END IF;`;

function lockUser({ fingerprint }: Names, user: string): string {
  // The seed must fit into a bigint.
  const seed = BigInt.asIntN(63, BigInt(`0x${fingerprint}`));
  return `PERFORM pg_advisory_xact_lock(hashtextextended(${user}, ${seed}));`;
}

function func(names: Names, name: string, parameters: string, body: string, returns?: string): string {
  const result = returns === undefined ? "" : ` RETURNS ${returns}`;
  return `CREATE OR REPLACE FUNCTION ${name}(
  ${parameters}
)${result} LANGUAGE plpgsql AS ${dollarQuote(names, body)};`;
}
