import { findBinary } from "./machine.js";
import type { TestServer } from "./server.js";

/** A server that tests may use: found, or started by us. */
export interface ResolvedServer {
  readonly url: string;
  /** Stops what this process has started; leaves alone what was there before. */
  stop(): Promise<void>;
}

export interface BackendOptions {
  /** As in "no Redis server found". */
  readonly name: string;
  /** The variable that names a running server, such as `SOJOURN_TEST_REDIS_URL`. */
  readonly variable: string;
  /** Any of these binaries will do, the first one preferred. */
  readonly binaries: readonly string[];
  /** Where to look beside the PATH. */
  readonly directories?: readonly string[];
  readonly start: (binary: string) => Promise<TestServer>;
  readonly container: ContainerOptions;
  /** What somebody without any of these can do, such as "apt-get install redis-server". */
  readonly help: string;
}

export interface ContainerOptions {
  readonly image: string;
  readonly port: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
  readonly url: (host: string, port: number) => string;
}

/**
 * A real server of one backend: the one that the environment names, else a binary of this machine, else a container.
 *
 * @throws Error when there is none of them, saying what was tried and how to help. Never skips
 */
export async function resolveServer(options: BackendOptions): Promise<ResolvedServer> {
  const given = process.env[options.variable];
  if (given) return { url: given, stop: async () => {} };

  const binary = findBinary(options.binaries, options.directories);
  if (binary) return options.start(binary);

  const container = await startContainer(options.container);
  if (typeof container !== "string") return container;

  throw new Error(
    `The tests need a ${options.name} server and found none. Tried: ${options.variable} (not set); ` +
      `${options.binaries.join(", ")} on this machine (not found); a container of ${options.container.image} ` +
      `(${container}). Any one will do: set ${options.variable}, or ${options.help}, or install a Docker engine and ` +
      "testcontainers (11.14.0 on Node 20).",
  );
}

/** The binary, for tests that must kill, pause or restart their server: a URL or a container does not serve those. */
export function requireBinary(options: Pick<BackendOptions, "name" | "binaries" | "directories" | "help">): string {
  const binary = findBinary(options.binaries, options.directories);
  if (binary) return binary;
  throw new Error(
    `These tests start and kill a ${options.name} server of their own. Tried: ${options.binaries.join(", ")} on this ` +
      `machine (not found). To help: ${options.help}.`,
  );
}

/** As much of testcontainers as is used here; it is optional and not a dependency. */
interface Testcontainers {
  readonly GenericContainer: new (image: string) => GenericContainer;
}
interface GenericContainer {
  withExposedPorts(port: number): GenericContainer;
  withEnvironment(env: Readonly<Record<string, string>>): GenericContainer;
  withCommand(command: readonly string[]): GenericContainer;
  start(): Promise<{ getHost(): string; getMappedPort(port: number): number; stop(): Promise<unknown> }>;
}

/** @returns the server, or why there is none */
async function startContainer(options: ContainerOptions): Promise<ResolvedServer | string> {
  // In a variable, so that neither the compiler nor a bundler asks for a package that is optional.
  const packageName = "testcontainers";
  let testcontainers: Testcontainers;
  try {
    testcontainers = await import(packageName);
  } catch {
    return "testcontainers is not installed";
  }
  try {
    let container = new testcontainers.GenericContainer(options.image).withExposedPorts(options.port);
    if (options.env) container = container.withEnvironment(options.env);
    if (options.command) container = container.withCommand(options.command);
    const started = await container.start();
    return {
      url: options.url(started.getHost(), started.getMappedPort(options.port)),
      stop: async () => void (await started.stop()),
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
