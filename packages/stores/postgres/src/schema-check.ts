import { type Call, SessionError } from "@sojourn/core/adapter";
import type { Connection } from "./connection.js";
import type { Names } from "./names.js";
import { schemaScript } from "./schema.js";
import { statement } from "./statements.js";

interface SchemaState {
  readonly encoding: string;
  /** The number of Sojourn's columns in the table; `undefined` without a table. */
  readonly columns: number | undefined;
  readonly hasFunctions: boolean;
  /** The rights that the user lacks, in the words of the message. */
  readonly missingRights: readonly string[];
}

const columns = [
  "id",
  "user_id",
  "payload",
  "version",
  "created_at",
  "last_active_at",
  "expires_at",
  "ends_at",
  "sweep_at",
];

/** Functions of the server that statements call. Some installations revoke them from PUBLIC. */
const serverFunctions = [
  "pg_advisory_xact_lock(bigint)",
  "pg_try_advisory_xact_lock(bigint)",
  "hashtextextended(text,bigint)",
];

/**
 * Creates the parts of the schema that are missing, and checks everything that later calls need.
 *
 * @throws SessionError `BACKEND` that names what is missing
 */
export async function ensureSchema(connection: Connection, names: Names, call: Call): Promise<void> {
  let state = await readState(connection, names, call);
  assertUsable(state, names);
  if (state.columns === undefined || !state.hasFunctions) {
    await connection.runScript(schemaScript(names), call);
    state = await readState(connection, names, call);
  }
  if (state.missingRights.length === 0) return;
  throw refusal(`the user lacks ${state.missingRights.join(", ")}`);
}

function assertUsable({ encoding, columns: found }: SchemaState, { table }: Names): void {
  if (encoding !== "UTF8") throw refusal(`the database has the encoding ${encoding}; session ids need UTF8`);
  if (found === undefined || found === columns.length) return;
  throw refusal(`the table ${table} was not made by Sojourn; choose another name`);
}

function refusal(reason: string): SessionError {
  return new SessionError("BACKEND", `@sojourn/postgres: ensureSchema: ${reason}`);
}

async function readState(connection: Connection, { catalog }: Names, call: Call): Promise<SchemaState> {
  const { schema, table, functions } = catalog;
  const [row = []] = await connection.run(check, [schema, table, functions, columns, serverFunctions], call);
  const [encoding, found, hasFunctions, missingRights] = row;
  return {
    encoding: encoding ?? "",
    columns: found === null ? undefined : Number(found),
    hasFunctions: hasFunctions === "true",
    // The statement returns the array as JSON.
    missingRights: JSON.parse(missingRights ?? "[]") as string[],
  };
}

/**
 * Reads the catalog, because functions such as `to_regclass` fail without rights on the schema.
 *
 * It checks policies of row-level security too: without a policy, reads find no session and do not fail.
 */
const check = statement(
  "check",
  `WITH place AS (SELECT n.oid, n.nspname FROM pg_namespace n WHERE n.nspname = $1::text),
tab AS (SELECT c.oid FROM pg_class c JOIN place p ON c.relnamespace = p.oid WHERE c.relname = $2::text),
func AS (SELECT f.oid, f.proname FROM pg_proc f JOIN place p ON f.pronamespace = p.oid WHERE f.proname = ANY ($3::text[])),
lacking AS (
  SELECT 1 AS rank, 'USAGE on the schema ' || p.nspname AS what FROM place p
  WHERE NOT has_schema_privilege(p.oid, 'USAGE')
  UNION ALL SELECT 2, r.name || ' on the table ' || $2 FROM tab t, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS r (name)
  WHERE NOT has_table_privilege(t.oid, r.name)
  UNION ALL SELECT 3, 'a policy of row-level security for ' || r.name || ' on the table ' || $2
  FROM tab t, (VALUES ('SELECT', 'r'), ('INSERT', 'a'), ('UPDATE', 'w'), ('DELETE', 'd')) AS r (name, code)
  WHERE row_security_active(t.oid) AND NOT EXISTS (
    SELECT FROM pg_policy p WHERE p.polrelid = t.oid AND p.polpermissive AND p.polcmd::text IN ('*', r.code)
      AND EXISTS (
        SELECT FROM unnest(p.polroles) AS role (oid)
        WHERE CASE WHEN role.oid = 0 THEN true ELSE pg_has_role(role.oid, 'USAGE') END
      )
  )
  UNION ALL SELECT 4, 'EXECUTE on the function ' || f.proname FROM func f WHERE NOT has_function_privilege(f.oid, 'EXECUTE')
  UNION ALL SELECT 5, 'EXECUTE on the function ' || r.name FROM unnest($5::text[]) AS r (name)
  WHERE NOT has_function_privilege('pg_catalog.' || r.name, 'EXECUTE')
)
SELECT current_setting('server_encoding'),
  (SELECT (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = ANY ($4::text[])
    AND NOT a.attisdropped)::text FROM tab t),
  ((SELECT count(DISTINCT f.proname) FROM func f) = cardinality($3::text[]))::text,
  (SELECT to_json(array_agg(l.what ORDER BY l.rank, l.what))::text FROM lacking l)`,
);
