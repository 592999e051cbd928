import type { Names } from "../names.js";
import { beginRead, clock, commit, recordColumns } from "./common.js";

/**
 * Reads the live ones of so many ids, by a plain SELECT: a CALL costs the server a third more, and so does a join that
 * would answer a row in any case. By `autocommit` the caller knows whether to trust it. The limit overrides
 * `sql_select_limit`.
 */
export function selectSessions({ sessions }: Names, count: number): string {
  const ids = Array.from({ length: count }, () => "?").join(", ");
  return `SELECT id, ${recordColumns}, ${clock} AS now_ms, @@autocommit AS autocommit
    FROM ${sessions} WHERE id IN (${ids}) AND expires_at > ${clock} LIMIT ${count}`;
}

type ReadingVerb = "get" | "list_by_user" | "scan" | "count";

export function readingProcedures({ sessions }: Names): Record<ReadingVerb, string> {
  return {
    get: `(p_id VARBINARY(512))
SQL SECURITY INVOKER
BEGIN
  ${beginRead}
  SELECT id, ${recordColumns}, ${clock} AS now_ms FROM ${sessions} WHERE id = p_id AND expires_at > ${clock};
  ${commit}
END`,

    list_by_user: `(p_user_id VARBINARY(512))
SQL SECURITY INVOKER
BEGIN
  ${beginRead}
  SELECT id, ${recordColumns}, ${clock} AS now_ms FROM ${sessions}
    WHERE user_id = p_user_id AND expires_at > ${clock} ORDER BY created_at, id;
  ${commit}
END`,

    scan: `(p_after BIGINT UNSIGNED, p_limit BIGINT)
SQL SECURITY INVOKER
BEGIN
  ${beginRead}
  SELECT pk, id, ${recordColumns}, ${clock} AS now_ms FROM ${sessions}
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
  };
}
