import { refuseUnknownOptions } from "@sojourn/core/adapter";
import { createFunctions } from "./functions.js";
import { dollarQuote, type Names, quoteText } from "./names.js";
import { packageName, resolveNames, type TableOptions } from "./options.js";

/**
 * Returns the SQL that creates the table, its indexes and its functions, for applications that run their own migrations.
 *
 * The SQL is one transaction. It may run more than once, also from many processes at once, and removes nothing.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function schemaSql(options: TableOptions = {}): string {
  refuseUnknownOptions(packageName, options, ["schema", "table"]);
  return schemaScript(resolveNames(options));
}

export function schemaScript(names: Names): string {
  return [
    "BEGIN ISOLATION LEVEL READ COMMITTED;",
    // Without the lock, IF NOT EXISTS fails about every second time when ten processes start at once.
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

/** CREATE SCHEMA IF NOT EXISTS needs the right to create a schema even where it exists. */
function createSchema(names: Names): string {
  return anonymousBlock(
    names,
    `  IF to_regnamespace(${quoteText(names.schema)}) IS NULL THEN
    CREATE SCHEMA ${names.schema};
  END IF;`,
  );
}

/*
 * No index contains expires_at or last_active_at, and the fill factor leaves room on each page. The row that a touch writes
 * therefore stays on its page, and no index is written: a heap-only update, a third of the write-ahead log. The sweep
 * searches by sweep_at, which is never before expires_at and moves rarely.
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

/** lz4 halves the time to write 10 kB. PostgreSQL 13 does not know the clause, and some builds lack lz4. */
function compressPayload(names: Names): string {
  return anonymousBlock(
    names,
    `  EXECUTE ${quoteText(`ALTER TABLE ${names.table} ALTER COLUMN payload SET COMPRESSION lz4`)};
EXCEPTION WHEN feature_not_supported OR syntax_error THEN NULL;`,
  );
}

function anonymousBlock(names: Names, body: string): string {
  return `DO ${dollarQuote(names, `BEGIN\n${body}\nEND`)};`;
}
