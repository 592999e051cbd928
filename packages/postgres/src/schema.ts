import { type Names, quoteText } from "./names.js";
import { resolveNames, type TableOptions } from "./options.js";

/** The SQLSTATE by which the functions refuse a transaction that is not READ COMMITTED. */
export const wrongIsolation = "SJ001";

/** The moment at which it is evaluated, in whole milliseconds as the records have them. */
export const clock = "date_trunc('milliseconds', clock_timestamp())";

/**
 * The SQL that creates the table, its indexes and its functions: for those who run their own migrations.
 *
 * One transaction, idempotent, and safe to run from many processes at once. It never removes anything.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function schemaSql(options: TableOptions = {}): string {
  return schemaScript(resolveNames(options));
}

export function schemaScript(names: Names): string {
  return [
    "BEGIN ISOLATION LEVEL READ COMMITTED;",
    // Without it, IF NOT EXISTS fails as often as not when ten processes start at once.
    `SELECT pg_advisory_xact_lock(hashtextextended('sojourn schema', 0));`,
    requireEncoding(names),
    createSchema(names),
    createTable(names),
    createFunctions(names),
    "COMMIT;",
  ].join("\n");
}

function requireEncoding(names: Names): string {
  return anonymousBlock(
    names,
    `  IF current_setting('server_encoding') <> 'UTF8' THEN
    RAISE EXCEPTION 'Sojourn needs a database with the encoding UTF8, this one has %',
      current_setting('server_encoding') USING ERRCODE = 'feature_not_supported';
  END IF;`,
  );
}

/** CREATE SCHEMA IF NOT EXISTS asks for the right to create one even where it exists. */
function createSchema(names: Names): string {
  return anonymousBlock(
    names,
    `  IF to_regnamespace(${quoteText(names.schema)}) IS NULL THEN
    CREATE SCHEMA ${names.schema};
  END IF;`,
  );
}

/*
 * No index holds expires_at or last_active_at, and the fill factor leaves room on each page: so the row that a touch
 * writes stays on its page and no index is written (a heap-only update, a third of the write-ahead log). What the sweep
 * looks for is sweep_at, never before expires_at, and moved only now and then.
 */
function createTable(names: Names): string {
  const { table } = names;
  return `CREATE TABLE IF NOT EXISTS ${table} (
  id text COLLATE "C" PRIMARY KEY,
  user_id text COLLATE "C",
  payload bytea NOT NULL,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  last_active_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  sweep_at timestamptz NOT NULL,
  CHECK (version > 0 AND isfinite(created_at) AND isfinite(last_active_at) AND '-infinity' < expires_at
    AND expires_at <= sweep_at AND sweep_at <= ends_at AND ends_at < 'infinity')
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS ${names.userIndex} ON ${table} (user_id, created_at) WHERE user_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS ${names.sweepIndex} ON ${table} (sweep_at);
${compressPayload(names)}`;
}

/** lz4 halves the time to write 10 kB. PostgreSQL 13 does not know the clause, and some are built without it. */
function compressPayload(names: Names): string {
  return anonymousBlock(
    names,
    `  EXECUTE ${quoteText(`ALTER TABLE ${names.table} ALTER COLUMN payload SET COMPRESSION lz4`)};
EXCEPTION WHEN feature_not_supported OR syntax_error THEN NULL;`,
  );
}

/*
 * What must lock a user or look at several rows is a function: one round trip, and each of its statements sees what was
 * committed before it began. That is true at READ COMMITTED alone; with a snapshot older than
 * the lock, 50 logins at once left up to 50 sessions where 5 were allowed.
 *
 * Locks are taken in one order by everybody, so that nobody waits in a circle: first the user, then rows by id.
 * Expiry is judged after the last lock, by a clock read after it.
 */
function createFunctions(names: Names): string {
  const { table } = names;
  return `${makeRoom(names)}
${func(
  names,
  names.create,
  `p_id text, p_user text, p_payload bytea, p_idle float8, p_absolute float8, p_max bigint, p_evict boolean,
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
    now: "clock",
  })}
  RETURNING s.* INTO session;
  IF NOT FOUND THEN
    -- Another user's call created the id after the look above: take the evictions back and be judged again.
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
  p_max bigint, p_evict boolean,
  OUT status text, OUT session ${table}, OUT evicted text[], OUT clock timestamptz`,
  `BEGIN
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
  UPDATE ${table} s SET
    id = coalesce(p_new_id, s.id),
    ${changedColumns({ payload: "p_payload", setsUser: "p_sets_user", user: "p_user", idle: "p_idle", now: "clock" })}
  WHERE s.id = p_id RETURNING s.* INTO session;
  IF p_payload IS NOT NULL THEN
    -- The caller has it: spare the way back.
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
 * Makes room for one more session of a user who is locked; answers the ids that had to go, or NULL when that is not
 * allowed.
 *
 * The rows are locked before any is chosen: a chosen one that is renamed meanwhile would escape.
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

/** Writes a new session, also over an expired one of this id; no row when a live one has it. */
export function insertSession(
  { table }: Names,
  values: Readonly<Record<"id" | "user" | "payload" | "idle" | "absolute" | "now", string>>,
): string {
  const { id, user, payload, idle, absolute, now } = values;
  const columns = [
    "user_id",
    "payload",
    "version",
    "created_at",
    "last_active_at",
    "expires_at",
    "ends_at",
    "sweep_at",
  ];
  const endsAt = later(now, absolute);
  const expiresAt = `least(${later(now, idle)}, ${endsAt})`;
  return `INSERT INTO ${table} AS s (id, ${columns.join(", ")})
  VALUES (${id}, ${user}, ${payload}, 1, ${now}, ${now}, ${expiresAt}, ${endsAt}, ${expiresAt})
  ON CONFLICT (id) DO UPDATE SET ${columns.map((column) => `${column} = excluded.${column}`).join(", ")}
  WHERE s.expires_at <= clock_timestamp()`;
}

/** What a change sets in row `s`; a parameter that is null leaves its column. */
export function changedColumns(
  parameters: Readonly<Record<"payload" | "setsUser" | "user" | "idle" | "now", string>>,
): string {
  const { payload, setsUser, user, idle, now } = parameters;
  const expiresAt = deadline(now, idle);
  return `user_id = CASE WHEN ${setsUser} THEN ${user} ELSE s.user_id END,
    payload = coalesce(${payload}, s.payload),
    version = s.version + CASE WHEN ${setsUser} OR ${payload} IS NOT NULL THEN 1 ELSE 0 END,
    last_active_at = CASE WHEN ${idle} IS NULL THEN s.last_active_at ELSE ${now} END,
    expires_at = CASE WHEN ${idle} IS NULL THEN s.expires_at ELSE ${expiresAt} END,
    sweep_at = CASE WHEN ${idle} IS NULL THEN s.sweep_at ELSE ${sweepAt(expiresAt, idle)} END`;
}

/** When row `s` ends if it is not used again. */
export function deadline(now: string, idle: string): string {
  return `least(${later(now, idle)}, s.ends_at)`;
}

/**
 * Where `sweep_at` of row `s` goes with a deadline: it stays while it is at most one idle timeout late, so that about one
 * touch in thirty moves it (a touch is written each sixtieth of an idle timeout).
 */
export function sweepAt(expiresAt: string, idle: string): string {
  return `CASE WHEN s.sweep_at BETWEEN ${expiresAt} AND ${later(expiresAt, idle)} THEN s.sweep_at
      ELSE least(${later(expiresAt, `${idle} / 2`)}, s.ends_at) END`;
}

function later(from: string, ms: string): string {
  return `${from} + ${ms} * interval '1 millisecond'`;
}

const requireReadCommitted = `IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'Sojourn needs the isolation level READ COMMITTED' USING ERRCODE = '${wrongIsolation}';
  END IF;`;

function lockUser({ fingerprint }: Names, user: string): string {
  // The seed is cut to what a bigint holds.
  const seed = BigInt.asIntN(63, BigInt(`0x${fingerprint}`));
  return `PERFORM pg_advisory_xact_lock(hashtextextended(${user}, ${seed}));`;
}

function func(names: Names, name: string, parameters: string, body: string, returns?: string): string {
  const result = returns === undefined ? "" : ` RETURNS ${returns}`;
  const tag = dollarTag(names);
  return `CREATE OR REPLACE FUNCTION ${name}(
  ${parameters}
)${result} LANGUAGE plpgsql AS ${tag}
${body}
${tag};`;
}

function anonymousBlock(names: Names, body: string): string {
  const tag = dollarTag(names);
  return `DO ${tag} BEGIN
${body}
END ${tag};`;
}

/** No name can contain it: it holds the hash of the names. */
function dollarTag({ fingerprint }: Names): string {
  return `$s${fingerprint}$`;
}
