import { readFileSync } from "node:fs";
import { invalidOption, invalidUrl } from "@sojourn/core/adapter";
import type { PoolOptions, SslOptions } from "mysql2/promise";
import { packageName } from "./options.js";

/** TLS as a URL asks for it. */
type Tls = SslOptions | "off";

/** The parameters that mean options of mysql2. Any other is refused: mysql2 ignores a misspelt one, and connects. */
const driverParameters: ReadonlySet<string> = new Set([
  "bigNumberStrings",
  "charset",
  "compress",
  "connectionLimit",
  "connectTimeout",
  "dateStrings",
  "decimalNumbers",
  "disableEval",
  "enableCleartextPlugin",
  "enableKeepAlive",
  "flags",
  "gracefulEnd",
  "idleTimeout",
  "jsonStrings",
  "keepAliveInitialDelay",
  "localAddress",
  "maxIdle",
  "maxPreparedStatements",
  "multipleStatements",
  "namedPlaceholders",
  "nestTables",
  "queueLimit",
  "resetOnRelease",
  "rowsAsArray",
  "socketPath",
  "stringifyObjects",
  "supportBigNumbers",
  "timezone",
  "trace",
  "waitForConnections",
]);

/** `ssl-mode` of MySQL and `sslmode`, in the words of both. PREFERRED is missing: mysql2 does not fall back to plaintext. */
const sslModes: Readonly<Record<string, Tls>> = {
  DISABLED: "off",
  DISABLE: "off",
  REQUIRED: { rejectUnauthorized: false },
  REQUIRE: { rejectUnauthorized: false },
  VERIFY_CA: { rejectUnauthorized: true },
  VERIFY_IDENTITY: { rejectUnauthorized: true, verifyIdentity: true },
  VERIFY_FULL: { rejectUnauthorized: true, verifyIdentity: true },
};

/** `sslaccept` of Prisma. */
const sslAccepts: Readonly<Record<string, Tls>> = {
  STRICT: { rejectUnauthorized: true, verifyIdentity: true },
  ACCEPT_INVALID_CERTS: { rejectUnauthorized: false },
};

/** Files of the MySQL client, by the option of Node.js that takes their content. */
const sslFiles: Readonly<Record<string, "ca" | "cert" | "key">> = {
  "ssl-ca": "ca",
  "ssl-cert": "cert",
  "ssl-key": "key",
};

/**
 * Reads a URL into options of a pool. Reads the files that it names.
 *
 * @param driverOptions - options that come before those of the URL
 * @throws SessionError `INVALID_OPTION`, without showing the URL: it holds a password
 */
export function poolOptionsOf(url: unknown, driverOptions: PoolOptions = {}): PoolOptions {
  const parsed = parse(url);
  const { hostname, port, pathname, searchParams } = parsed;
  const options: Record<string, unknown> = {
    host: decoded("host", hostname.replace(/^\[(.*)\]$/, "$1")),
    port: port === "" ? 3_306 : Number(port),
    user: decoded("user", parsed.username),
    password: decoded("password", parsed.password),
    database: decoded("database", pathname.slice(1)),
  };
  const tls: Tls[] = [];
  for (const [name, value] of searchParams) {
    if (driverParameters.has(name)) options[name] = jsonOrText(value);
    else tls.push(tlsOf(name, value));
  }
  const ssl = mergeTls(tls, driverOptions.ssl);
  return { ...options, ...driverOptions, ...(ssl && { ssl }) };
}

function parse(url: unknown): URL {
  if (typeof url === "string" && /^(mysql|mariadb):\/\//.test(url) && URL.canParse(url)) return new URL(url);
  throw invalidUrl(packageName, "a URL such as mysql://user:password@host/database", url);
}

function decoded(part: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    const expectation = `a URL whose ${part} is percent-encoded, with %25 for a percent sign`;
    throw invalidOption(packageName, "url", expectation, "a percent sign by itself");
  }
}

function tlsOf(name: string, value: string): Tls {
  const file = sslFiles[name];
  if (file !== undefined) return { [file]: readFile(name, value) };
  if (name === "ssl-mode" || name === "sslmode") return chosen(name, value, sslModes);
  if (name === "sslaccept") return chosen(name, value, sslAccepts);
  if (name === "ssl") return sslObject(value);
  const expectation = `a URL with parameters that are known; pass other options of mysql2 as "driverOptions"`;
  throw invalidOption(packageName, "url", expectation, name);
}

function chosen(name: string, value: string, choices: Readonly<Record<string, Tls>>): Tls {
  const choice = choices[value.toUpperCase().replaceAll("-", "_")];
  if (choice !== undefined) return choice;
  const expectation = `a URL whose ${name} is one of ${Object.keys(choices).join(", ")}`;
  throw invalidOption(packageName, "url", expectation, value);
}

function sslObject(value: string): Tls {
  const parsed = jsonOrText(value);
  if (parsed === false) return "off";
  if (parsed === true) return { rejectUnauthorized: true };
  if (typeof parsed === "object" && parsed !== null) return parsed;
  throw invalidOption(packageName, "url", "a URL whose ssl is true, false or a JSON object", parsed);
}

function readFile(name: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "an error";
    throw invalidOption(
      packageName,
      `url parameter ${name}`,
      "the path of a file that can be read",
      `${path} (${code})`,
    );
  }
}

/** The options of the caller come first, those of the URL fill in. Files alone mean a verified certificate. */
function mergeTls(parts: readonly Tls[], driver: PoolOptions["ssl"]): PoolOptions["ssl"] {
  const wanted = parts.filter((part): part is SslOptions => part !== "off");
  if (wanted.length < parts.length && wanted.length > 0) {
    throw invalidOption(packageName, "url", "a URL that either switches TLS off or sets it", "both");
  }
  if (typeof driver === "string" || wanted.length === 0) return driver;
  return Object.assign({}, ...wanted, driver) as SslOptions;
}

function jsonOrText(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
