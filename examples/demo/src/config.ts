import { randomBytes } from "node:crypto";

export interface Config {
  readonly port: number;
  /** Signs the session cookie. */
  readonly secret: string;
  /** Where sessions are kept, as a URL; `memory:` keeps them in this process. */
  readonly storeUrl: string;
  readonly warnings: readonly string[];
}

/** Reads the configuration of the demo. @throws Error when it cannot be used, saying what to do */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const production = env.NODE_ENV === "production";
  const warnings: string[] = [];
  let secret = env.SESSION_SECRET ?? "";
  if (secret === "") {
    const how = `node -e "console.log(require('node:crypto').randomBytes(32).toString('base64url'))"`;
    if (production) throw new Error(`SESSION_SECRET is not set. Make one with:\n  ${how}`);
    secret = randomBytes(32).toString("base64url");
    warnings.push("SESSION_SECRET is not set: sessions end when this process does, and other processes refuse them.");
  }
  return {
    port: readPort(env.PORT),
    secret,
    storeUrl: env.SESSION_STORE ?? "memory:",
    warnings,
  };
}

function readPort(text = "3000"): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535 && text.trim() !== "") return port;
  throw new Error(`PORT must be a number from 0 to 65535, received ${JSON.stringify(text)}`);
}
