import type { StandardSchemaV1 } from "@standard-schema/spec";
import { describe, isSessionError, type SessionDataIssue, SessionError } from "../contract/errors.js";
import { isObject } from "./content.js";

/** The largest number of paths in a message; `issues` has all of them. */
const maxPathsShown = 5;

/**
 * Validates data by a schema, and returns the schema's output.
 *
 * @throws SessionError `INVALID_DATA` when the schema refuses the data, or fails
 */
export async function validateData(schema: StandardSchemaV1, data: unknown): Promise<object> {
  let result: StandardSchemaV1.Result<unknown>;
  try {
    result = await schema["~standard"].validate(data);
  } catch (cause) {
    if (isSessionError(cause)) throw cause;
    throw new SessionError("INVALID_DATA", "@sojourn/core: the schema failed on session data", { cause });
  }
  if (result.issues === undefined) {
    if (isObject(result.value)) return result.value;
    throw new SessionError("INVALID_DATA", "@sojourn/core: the schema must make an object of session data");
  }
  const issues = result.issues.map(toIssue);
  const shown = issues.slice(0, maxPathsShown).map(({ path }) => pathText(path));
  const more = issues.length > maxPathsShown ? ` and ${issues.length - maxPathsShown} more` : "";
  const message = `@sojourn/core: session data does not match the schema at ${shown.join(", ")}${more}`;
  throw new SessionError("INVALID_DATA", message, { issues });
}

function toIssue({ message, path = [] }: StandardSchemaV1.Issue): SessionDataIssue {
  return { path: path.map((segment) => (typeof segment === "object" ? segment.key : segment)), message };
}

/**
 * Formats a path for a message. Record keys may come from a client: they are quoted, and shortened where they are long.
 */
function pathText(path: readonly PropertyKey[]): string {
  return path.length === 0 ? "its top level" : describe(path.map(String).join("."));
}
