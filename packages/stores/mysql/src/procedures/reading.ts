import { aliasPrefix } from "@sojourn/core/adapter";
import type { Names } from "../names.js";
import { clock, recordColumns } from "../sql.js";
import { procedure } from "./common.js";

type ReadingProcedure = "get" | "list_by_user" | "scan" | "count";

export function readingProcedures({ sessions }: Names): Record<ReadingProcedure, string> {
  return {
    get: procedure({
      parameters: ["p_id VARBINARY(512)"],
      access: "READ ONLY",
      body: `SELECT id, ${recordColumns}, ${clock} AS now_ms FROM ${sessions} WHERE id = p_id AND expires_at > ${clock};`,
    }),

    list_by_user: procedure({
      parameters: ["p_user_id VARBINARY(512)"],
      access: "READ ONLY",
      body: `
  SELECT id, ${recordColumns}, ${clock} AS now_ms FROM ${sessions}
    WHERE user_id = p_user_id AND expires_at > ${clock} ORDER BY created_at, id;`,
    }),

    scan: procedure({
      parameters: ["p_after BIGINT UNSIGNED", "p_limit BIGINT"],
      access: "READ ONLY",
      body: `
  SELECT pk, id, ${recordColumns}, ${clock} AS now_ms FROM ${sessions}
    WHERE pk > p_after AND expires_at > ${clock} ORDER BY pk LIMIT p_limit;`,
    }),

    count: procedure({
      access: "READ ONLY",
      body: `
  SELECT COUNT(*) AS sessions, COUNT(user_id) AS sessions_with_user, COUNT(DISTINCT user_id) AS users
    FROM ${sessions} WHERE expires_at > ${clock} AND id NOT LIKE '${aliasPrefix}%';`,
    }),
  };
}
