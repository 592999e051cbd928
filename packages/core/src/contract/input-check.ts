import { describe, SessionError } from "./errors.js";
import { unknownKey } from "./nearest-key.js";

/** The keys of an input: the compiler refuses a table that lacks a key of the type. */
type KeyTable<Input> = Readonly<Record<keyof Input, true>>;

export type InputCheck = (input: object) => void;

/**
 * Returns the check of the input of one method: it throws `INVALID_ARGUMENT` for a value that is no object, and for a key that
 * `keys` does not list. A misspelt key would otherwise be ignored, and `{ userID }` create a session without a user.
 *
 * It runs in every call: it reads a table, and builds nothing.
 */
export function inputCheck<Input extends object>(method: string, keys: KeyTable<Input>): InputCheck {
  const known: Readonly<Record<string, true | undefined>> = Object.assign(Object.create(null), keys);
  return (input) => {
    if (typeof input !== "object" || input === null) throw noObject(method, input);
    for (const key in input) {
      if (known[key] === undefined) throw invalid(`${method}: ${unknownKey("key", key, Object.keys(known))}`);
    }
  };
}

/** A string is not shown: it may be a token. */
function noObject(method: string, input: unknown): SessionError {
  const received = typeof input === "string" ? "a string" : describe(input);
  const hint = typeof input === "function" ? ": the method takes no callback and returns a promise" : "";
  return invalid(`${method}: the input must be an object, received ${received}${hint}`);
}

function invalid(message: string): SessionError {
  return new SessionError("INVALID_ARGUMENT", `@sojourn/core: ${message}`);
}
