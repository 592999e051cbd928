import type { LocatedSession, SessionManager } from "@sojourn/core";
import { type Duration, durationMs, invalidOption, requireOptions, type SessionBus } from "@sojourn/core/adapter";

/** The part of a `SessionManager` that live connections need. */
export interface LiveManager {
  readonly byId: { locate(id: string): Promise<LocatedSession | undefined> };
  on: SessionManager["on"];
}

export interface LiveSessionsOptions {
  /** The `SessionManager`. It stays yours: close it after the live sessions. */
  readonly sessions: LiveManager;
  /**
   * Tells this process of ends and changes in other processes. The store must announce its writes on it: see
   * `announceWrites`. It stays yours, too.
   */
  readonly bus: SessionBus;
  /**
   * How long a connection may stay open after its session has ended when no message tells so: each session with connections
   * is read this often. Default `"30s"`.
   */
  readonly maxStale?: Duration | undefined;
  /**
   * The origins of the pages that may connect, such as `"https://shop.example"`. Default: pages of the host that the request
   * names. State them where a proxy changes the `Host` header.
   */
  readonly origins?: readonly string[] | undefined;
}

export interface ResolvedOptions {
  readonly sessions: LiveManager;
  readonly bus: SessionBus;
  readonly maxStaleMs: number;
  readonly origins: ReadonlySet<string> | undefined;
}

const packageName = "@sojourn/live";
/** The largest delay of a timer. */
const maxTimerMs = 2 ** 31 - 1;

/** @throws SessionError `INVALID_OPTION` */
export function resolveOptions(options: LiveSessionsOptions): ResolvedOptions {
  requireOptions(options, {
    packageName,
    usage: "new LiveSessions({ sessions, bus })",
    known: ["sessions", "bus", "maxStale", "origins"],
  });
  const { sessions, bus, maxStale = "30s", origins } = options;
  if (typeof sessions?.byId?.locate !== "function") {
    throw invalidOption(packageName, "sessions", "a SessionManager", sessions);
  }
  if (typeof bus?.subscribe !== "function") throw invalidOption(packageName, "bus", "a session bus", bus);
  if (origins !== undefined && !(Array.isArray(origins) && origins.every(isOrigin))) {
    throw invalidOption(packageName, "origins", 'a list of origins, such as "https://shop.example"', origins);
  }
  return {
    sessions,
    bus,
    maxStaleMs: Math.min(durationMs(maxStale, "maxStale"), maxTimerMs),
    origins: origins && new Set(origins),
  };
}

function isOrigin(text: unknown): boolean {
  return typeof text === "string" && URL.canParse(text) && new URL(text).origin === text;
}
