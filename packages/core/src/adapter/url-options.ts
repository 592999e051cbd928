/** The options that `fromUrl` of every store on a server takes, under the same names. */

import { describe, invalidOption, refuseUnknownOptions, SessionError } from "../contract/errors.js";

/** A user and password of the server. */
export interface Credentials {
  /** Default: the user of the URL. */
  readonly username?: string | undefined;
  readonly password: string;
}

/** Returns the credentials for a new connection. */
export type CredentialsFunction = () => Credentials | Promise<Credentials>;

/**
 * Checks the shape of the options of `fromUrl`: an object with known names, `driverOptions` an object, `credentials` a function.
 *
 * @param known - the names that this store's `fromUrl` takes
 * @throws SessionError `INVALID_OPTION`
 */
export function assertUrlOptions(packageName: string, options: object, known: readonly string[]): void {
  refuseUnknownOptions(packageName, options, known);
  const { driverOptions, credentials }: { driverOptions?: unknown; credentials?: unknown } = options;
  if (driverOptions !== undefined && (typeof driverOptions !== "object" || driverOptions === null)) {
    throw invalidOption(packageName, "driverOptions", "an object of options of the driver", driverOptions);
  }
  if (credentials !== undefined && typeof credentials !== "function") {
    // The value may be a password.
    throw invalidOption(packageName, "credentials", "a function that returns { username?, password }");
  }
}

/** Returns the error for a URL that cannot be read. It shows no string, because a URL may contain a password. */
export function invalidUrl(packageName: string, expectation: string, url: unknown): SessionError {
  if (typeof url === "string") return invalidOption(packageName, "url", expectation);
  return invalidOption(packageName, "url", expectation, url);
}

/**
 * Calls the option `credentials` for a new connection.
 *
 * @throws SessionError `UNAVAILABLE` with the error of the function as cause; `INVALID_OPTION` when it returns another shape
 */
export async function askForCredentials(packageName: string, credentials: CredentialsFunction): Promise<Credentials> {
  let answer: unknown;
  try {
    answer = await credentials();
  } catch (cause) {
    throw new SessionError("UNAVAILABLE", `${packageName}: the function "credentials" failed`, { cause });
  }
  if (areCredentials(answer)) return answer;
  // A string may be the password itself.
  const received = typeof answer === "string" ? "a string" : describe(answer);
  const message = `${packageName}: the function "credentials" must return { username?, password }, both strings; it returned ${received}`;
  throw new SessionError("INVALID_OPTION", message);
}

function areCredentials(answer: unknown): answer is Credentials {
  if (typeof answer !== "object" || answer === null) return false;
  const { username, password }: { username?: unknown; password?: unknown } = answer;
  return typeof password === "string" && (username === undefined || typeof username === "string");
}
