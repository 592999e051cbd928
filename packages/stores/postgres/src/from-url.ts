import type { ConnectionOptions } from "node:tls";
import { defaultTimeoutMs, invalidOption, isSessionError, SessionError, withTimeout } from "@sojourn/core/adapter";
import pg from "pg";
import { parseIntoClientConfig } from "pg-connection-string";
import { type PostgresStoreOptions, packageName } from "./options.js";

/** Options of `pg` for the pool that `fromUrl` opens, and for its clients. The documentation of `pg` lists them all. */
export interface PostgresDriverOptions {
  readonly ssl?: boolean | ConnectionOptions | undefined;
  /** The most connections. Default 10. */
  readonly max?: number | undefined;
  /** Milliseconds after which an idle connection is closed. Default 10,000. */
  readonly idleTimeoutMillis?: number | undefined;
  /** Whether the system probes idle connections. Default true. */
  readonly keepAlive?: boolean | undefined;
  readonly application_name?: string | undefined;
  readonly [option: string]: unknown;
}

/** A user and password of the server. */
export interface PostgresCredentials {
  /** Default: the user of the URL. */
  readonly username?: string | undefined;
  readonly password: string;
}

export interface PostgresUrlOptions extends Omit<PostgresStoreOptions, "pool"> {
  /** Options of `pg`, such as `{ ssl: { ca }, max: 20 }`. They override those of the URL. */
  readonly driverOptions?: PostgresDriverOptions | undefined;
  /** Returns the credentials for each new connection, for passwords that rotate. They override those of the URL. */
  readonly credentials?: (() => PostgresCredentials | Promise<PostgresCredentials>) | undefined;
}

/** The TLS parameters that `pg` knows. It ignores others, and would then connect without encryption. */
const tlsParameters = ["ssl", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslnegotiation"];

/**
 * Opens a pool.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function openPool(url: string, { timeoutMs, driverOptions, credentials }: PostgresUrlOptions): pg.Pool {
  if (driverOptions !== undefined && (typeof driverOptions !== "object" || driverOptions === null)) {
    throw invalidOption(packageName, "driverOptions", "an object of options of pg", driverOptions);
  }
  if (credentials !== undefined && typeof credentials !== "function") {
    throw invalidOption(packageName, "credentials", "a function", typeof credentials);
  }
  const connectionTimeoutMillis = timeoutMs ?? defaultTimeoutMs;
  const pool = new pg.Pool({
    connectionTimeoutMillis,
    keepAlive: true,
    allowExitOnIdle: true,
    ...readUrl(url),
    ...(credentials !== undefined && { Client: clientWith(credentials, connectionTimeoutMillis) }),
    ...driverOptions,
  });
  // Without a listener, a lost idle connection would end the process. The next operation opens another.
  pool.on("error", () => {});
  return pool;
}

/** Parses the URL. Its errors do not contain the URL, because it contains a password. */
function readUrl(url: unknown): pg.ClientConfig {
  if (typeof url !== "string" || !/^postgres(ql)?:\/\//.test(url)) throw unreadable();
  try {
    const config = parseIntoClientConfig(url);
    for (const parameter of Object.keys(config)) refuseUnknownTls(parameter);
    // The constructor refuses a port out of range. It opens no connection.
    new pg.Client(config);
    return config;
  } catch (error) {
    if (isSessionError(error)) throw error;
    const { code, path } = error as NodeJS.ErrnoException;
    if (code === undefined || path === undefined) throw unreadable();
    const message = `${packageName}: the file ${JSON.stringify(path)} that the URL names cannot be read (${code})`;
    throw new SessionError("INVALID_OPTION", message, { cause: error });
  }
}

function unreadable(): SessionError {
  const expectation =
    'a URL that pg can read, such as "postgres://user:password@host/database", with encodeURIComponent applied to the password';
  return invalidOption(packageName, "url", expectation, "something else");
}

function refuseUnknownTls(parameter: string): void {
  if (!/^(ssl|tls)/i.test(parameter) || tlsParameters.includes(parameter)) return;
  const message = `${packageName}: pg does not know the parameter ${JSON.stringify(parameter)} of the URL; it knows ${tlsParameters.join(", ")}`;
  throw new SessionError("INVALID_OPTION", message);
}

type Credentials = NonNullable<PostgresUrlOptions["credentials"]>;
type Connected = (error: Error | null) => void;

/** Returns a class of clients that get their credentials right before they connect. */
function clientWith(credentials: Credentials, timeoutMs: number): typeof pg.Client {
  return class extends pg.Client {
    constructor(config?: string | pg.ClientConfig) {
      super(config);
      const connect = (done: Connected): void => {
        withTimeout(signIn(this, credentials), timeoutMs, `${packageName}: "credentials"`).then(
          () => super.connect(done),
          (cause: unknown) => done(new SessionError("UNAVAILABLE", `${packageName}: "credentials" failed`, { cause })),
        );
      };
      // The pool passes a callback.
      this.connect = connect as typeof this.connect;
    }
  };
}

async function signIn(client: pg.Client, credentials: Credentials): Promise<void> {
  const { username, password } = await credentials();
  client.password = password;
  if (username === undefined) return;
  client.user = username;
  // Public, but missing from the declarations.
  const { connectionParameters } = client as unknown as { connectionParameters: { user: string } };
  connectionParameters.user = username;
}
