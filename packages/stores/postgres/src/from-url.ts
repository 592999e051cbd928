import type { ConnectionOptions } from "node:tls";
import {
  askForCredentials,
  assertUrlOptions,
  type CredentialsFunction,
  defaultTimeoutMs,
  invalidUrl,
  isSessionError,
  SessionError,
  withTimeout,
} from "@sojourn/core/adapter";
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

export interface PostgresUrlOptions extends Omit<PostgresStoreOptions, "pool"> {
  /** Options of `pg`, such as `{ ssl: { ca }, max: 20 }`. They override those of the URL. */
  readonly driverOptions?: PostgresDriverOptions | undefined;
  /** Returns the credentials for each new connection, for passwords that rotate. They override those of the URL. */
  readonly credentials?: CredentialsFunction | undefined;
}

const urlOptions = ["schema", "table", "preparedStatements", "timeoutMs", "driverOptions", "credentials"];

/** The TLS parameters that `pg` knows. It ignores others, and would then connect without encryption. */
const tlsParameters = ["ssl", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslnegotiation"];

/**
 * Opens a pool.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function openPool(url: string, options: PostgresUrlOptions): pg.Pool {
  assertUrlOptions(packageName, options, urlOptions);
  const { timeoutMs, driverOptions, credentials } = options;
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
  if (typeof url !== "string" || !/^postgres(ql)?:\/\//.test(url)) throw unreadable(url);
  try {
    const config = parseIntoClientConfig(url);
    for (const parameter of Object.keys(config)) refuseUnknownTls(parameter);
    // The constructor refuses a port out of range. It opens no connection.
    new pg.Client(config);
    return config;
  } catch (error) {
    if (isSessionError(error)) throw error;
    const { code, path } = error as NodeJS.ErrnoException;
    if (code === undefined || path === undefined) throw unreadable(url);
    const message = `${packageName}: the file ${JSON.stringify(path)} that the URL names cannot be read (${code})`;
    throw new SessionError("INVALID_OPTION", message, { cause: error });
  }
}

function unreadable(url: unknown): SessionError {
  const expectation =
    'a URL that pg can read, such as "postgres://user:password@host/database", with encodeURIComponent applied to the password';
  return invalidUrl(packageName, expectation, url);
}

function refuseUnknownTls(parameter: string): void {
  if (!/^(ssl|tls)/i.test(parameter) || tlsParameters.includes(parameter)) return;
  const message = `${packageName}: pg does not know the parameter ${JSON.stringify(parameter)} of the URL; it knows ${tlsParameters.join(", ")}`;
  throw new SessionError("INVALID_OPTION", message);
}

type Connected = (error: Error | null) => void;

/** Returns a class of clients that get their credentials right before they connect. */
function clientWith(credentials: CredentialsFunction, timeoutMs: number): typeof pg.Client {
  return class extends pg.Client {
    constructor(config?: string | pg.ClientConfig) {
      super(config);
      const connect = (done: Connected): void => {
        withTimeout(signIn(this, credentials), timeoutMs, `${packageName}: "credentials"`).then(
          () => super.connect(done),
          (error: SessionError) => done(error),
        );
      };
      // The pool passes a callback.
      this.connect = connect as typeof this.connect;
    }
  };
}

async function signIn(client: pg.Client, credentials: CredentialsFunction): Promise<void> {
  const { username, password } = await askForCredentials(packageName, credentials);
  client.password = password;
  if (username === undefined) return;
  client.user = username;
  // Public, but missing from the declarations.
  const { connectionParameters } = client as unknown as { connectionParameters: { user: string } };
  connectionParameters.user = username;
}
