import type { StandardSchemaV1 } from "@standard-schema/spec";
import { jsonCodec, type SessionCodec } from "../content/codec.js";
import type { SessionData, UpgradeFunction } from "../content/session-data.js";
import type { UnreadablePolicy } from "../content/unreadable.js";
import { type Clock, systemClock } from "../contract/clock.js";
import { type Duration, durationMs, durationText } from "../contract/duration.js";
import { invalidOption, refuseUnknownOptions } from "../contract/errors.js";
import { requireOptions } from "../contract/require-options.js";
import type { SessionLimit, SessionStore } from "../contract/store.js";
import { type BindingOptions, type ResolvedBinding, resolveBinding } from "./binding.js";
import { type DetectionOptions, type ResolvedDetection, resolveDetection } from "./detection.js";
import { type ConflictPolicy, requirePolicy, requireUnreadablePolicy } from "./policies.js";

export interface SweepSchedule {
  /** Mean time between two sweeps. Default `"1m"`. */
  readonly interval?: Duration | undefined;
  /** The largest number of sessions that one call of the store removes. Default 1000. */
  readonly batchSize?: number | undefined;
}

/**
 * The options of a {@link SessionManager}.
 *
 * @typeParam Data - the type of the sessions' data; inferred from `schema`
 * @typeParam Input - the type that the schema accepts: keys with a default may be missing
 */
export interface SessionManagerOptions<Data extends object = SessionData, Input extends object = Data> {
  /** The store of the sessions. Closing the manager closes it. */
  readonly store: SessionStore;
  /** A session unused this long ends. At most `absoluteTimeout`. Default `"30m"`, or `absoluteTimeout` if that is less. */
  readonly idleTimeout?: Duration | undefined;
  /** A session older than this ends, also while it is used. Default `"12h"`. */
  readonly absoluteTimeout?: Duration | undefined;
  /**
   * A read writes its activity only when that moves the stored deadline by at least this much, to save writes. A
   * session may end this much early, never late. 0 writes at each read. Must be less than `idleTimeout`. Default: a
   * sixtieth of the session's idle timeout, also for a session whose own idle timeout is not longer than this option.
   */
  readonly touchAfter?: Duration | undefined;
  /** The policy of `save` when another writer was faster. Default `"merge"`. */
  readonly onConflict?: ConflictPolicy | undefined;
  /**
   * How long an old token goes on reading its session after a regeneration, so that requests under way are not logged
   * out. Measured by the store's clock, to within twice its `expiryPrecisionMs`. At most 5 minutes; some seconds
   * suffice. Default 0: the old token is dead at once.
   *
   * The old token reads the current session, new privileges included, and can destroy it. It cannot write or prolong
   * it. The "renewal timeout" of OWASP's Session Management Cheat Sheet. It adds a read for each unknown token, and a
   * round trip for each regeneration.
   */
  readonly regenerationGrace?: Duration | undefined;
  /** The largest number of sessions of one user, and the policy at the limit. Default: no limit. */
  readonly sessionLimit?: SessionLimit | undefined;
  /** The largest payload in bytes of UTF-8. Default 1 MiB, or the store's limit if that is lower. */
  readonly maxPayloadBytes?: number | undefined;
  /** Turns sessions into payloads and back. Default {@link jsonCodec}. */
  readonly codec?: SessionCodec | undefined;
  /**
   * The schema of the data: any Standard Schema (zod, valibot, arktype), synchronous or asynchronous. Every write is
   * validated, after the merge, and refused with `INVALID_DATA`. The schema's output is stored as JSON and validated
   * again by the next write: a schema must accept its own output, so it can have no `transform` or `Date`. Default: no
   * validation.
   */
  readonly schema?: StandardSchemaV1<Input, Data> | undefined;
  /**
   * Whether reads validate too, and fill in defaults. A stored session that fails is then unreadable. Default false.
   */
  readonly validateOnRead?: boolean | undefined;
  /**
   * The version of the data that this release of the application writes. Raise it by 1 with each change that data of
   * the previous release does not match. A payload of a later version is unreadable. Default 1.
   */
  readonly schemaVersion?: number | undefined;
  /**
   * Turns data of version `from` into data of this `schemaVersion`. Runs when an older session is read; the result is
   * validated, and stored only by the next write. A session is unreadable when this throws, when the result does not
   * match the schema, and when this is needed but not set.
   */
  readonly upgrade?: UpgradeFunction<NoInfer<Input>> | undefined;
  /** The policy for a stored session that cannot be read. Default `"fail"`. */
  readonly onUnreadable?: UnreadablePolicy | undefined;
  /**
   * How long one operation of the store may take, in milliseconds, waits for a turn included. Default: the store's own
   * timeout.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * The schedule for removing expired sessions, for stores that are swept; `false` where another process removes them.
   * Default `{}`.
   */
  readonly sweep?: SweepSchedule | false | undefined;
  /**
   * Binds each session to the `client` passed at its creation or last regeneration. A read without `client` is not
   * checked, nor is a session that was created without one. Default: no binding.
   *
   * An obstacle and a signal, no proof: a thief behind the same proxy passes, and a user who changes network does not
   * (see "Binding the Session ID to Other User Properties" of OWASP's Session Management Cheat Sheet).
   */
  readonly binding?: BindingOptions | undefined;
  /** Sets when `security` events are emitted. Default `{}`. */
  readonly detection?: DetectionOptions | undefined;
  /** Dates events. The deadlines of sessions follow the store's own clock. Default: the system's. */
  readonly clock?: Clock | undefined;
}

export interface ResolvedManagerOptions {
  readonly store: SessionStore;
  readonly idleMs: number;
  readonly absoluteMs: number;
  readonly touchAfterMs: number | undefined;
  readonly onConflict: ConflictPolicy;
  readonly regenerationGraceMs: number;
  readonly sessionLimit: SessionLimit | undefined;
  readonly maxPayloadBytes: number;
  readonly codec: SessionCodec;
  readonly schema: StandardSchemaV1 | undefined;
  readonly validateOnRead: boolean;
  readonly schemaVersion: number;
  readonly upgrade: UpgradeFunction<object> | undefined;
  readonly onUnreadable: UnreadablePolicy;
  readonly timeoutMs: number | undefined;
  readonly sweep: SweepSchedule | false;
  readonly binding: ResolvedBinding | undefined;
  readonly detection: ResolvedDetection;
  readonly clock: Clock;
}

const packageName = "@sojourn/core";
/** Limits how long a stolen token stays of use after the regeneration. */
const maxGraceMs = 5 * 60_000;
/** The names of the options. */
export const managerOptions: readonly string[] = [
  "store",
  "idleTimeout",
  "absoluteTimeout",
  "touchAfter",
  "onConflict",
  "regenerationGrace",
  "sessionLimit",
  "maxPayloadBytes",
  "codec",
  "schema",
  "validateOnRead",
  "schemaVersion",
  "upgrade",
  "onUnreadable",
  "timeoutMs",
  "sweep",
  "binding",
  "detection",
  "clock",
];

/** @throws SessionError `INVALID_OPTION` */
export function resolveManagerOptions(options: SessionManagerOptions<object>): ResolvedManagerOptions {
  requireOptions(options, { packageName, usage: "new SessionManager({ store })", known: managerOptions });
  const { store, codec = jsonCodec, onConflict = "merge", onUnreadable = "fail", sweep = {}, timeoutMs } = options;
  const { clock = systemClock } = options;
  if (typeof store?.get !== "function" || typeof store.capabilities?.maxPayloadBytes !== "number") {
    throw invalidOption(packageName, "store", "a SessionStore", unquoted(store));
  }
  warnOfSeconds(options);
  const { idleMs, absoluteMs } = resolveTimeouts(options, { idleMs: 30 * 60_000, absoluteMs: 12 * 3_600_000 });
  requirePolicy(onConflict);
  requireUnreadablePolicy(onUnreadable);
  if (typeof codec?.encode !== "function" || typeof codec.decode !== "function") {
    throw invalidOption(packageName, "codec", "an object with encode and decode", codec);
  }
  if (typeof clock?.now !== "function") throw invalidOption(packageName, "clock", "an object with now", clock);
  const largest = store.capabilities.maxPayloadBytes;
  const { maxPayloadBytes = Math.min(2 ** 20, largest) } = options;
  requirePositiveInteger(maxPayloadBytes, "maxPayloadBytes");
  if (timeoutMs !== undefined) requirePositiveInteger(timeoutMs, "timeoutMs");
  return {
    store,
    idleMs,
    absoluteMs,
    touchAfterMs: resolveTouchAfter(options.touchAfter, idleMs),
    onConflict,
    regenerationGraceMs: resolveGrace(options.regenerationGrace),
    sessionLimit: resolveLimit(options.sessionLimit),
    maxPayloadBytes: Math.min(maxPayloadBytes, largest),
    codec,
    ...resolveSchema(options),
    onUnreadable,
    timeoutMs,
    sweep: resolveSweep(sweep),
    binding: resolveBinding(options.binding),
    detection: resolveDetection(options.detection),
    clock,
  };
}

let hasWarnedOfSeconds = false;

/** Warns once of a timeout that looks like the seconds of another library: each session would end at its next request. */
function warnOfSeconds(options: Pick<SessionManagerOptions, "idleTimeout" | "absoluteTimeout">): void {
  for (const option of ["idleTimeout", "absoluteTimeout"] as const) {
    const value = options[option];
    if (hasWarnedOfSeconds || typeof value !== "number" || !(value > 0 && value < 60_000)) continue;
    hasWarnedOfSeconds = true;
    const fix = `write "${value}s" for seconds, or "${value}ms" if you mean milliseconds`;
    const warning = `${packageName}: ${option}: ${value} is less than a minute: numbers are milliseconds; ${fix}`;
    process.emitWarning(warning, { code: "SOJOURN_SHORT_TIMEOUT" });
  }
}

/** Resolves the two timeouts of a manager or of one session, and checks them against each other. */
export function resolveTimeouts(
  { idleTimeout, absoluteTimeout }: Pick<SessionManagerOptions, "idleTimeout" | "absoluteTimeout">,
  defaults: { readonly idleMs: number; readonly absoluteMs: number },
): { idleMs: number; absoluteMs: number } {
  const absoluteMs =
    absoluteTimeout === undefined ? defaults.absoluteMs : durationMs(absoluteTimeout, "absoluteTimeout");
  // A default adapts to the other timeout; two explicit timeouts must agree.
  if (idleTimeout === undefined) return { idleMs: Math.min(defaults.idleMs, absoluteMs), absoluteMs };
  const idleMs = durationMs(idleTimeout, "idleTimeout");
  if (idleMs <= absoluteMs) return { idleMs, absoluteMs };
  const origin = absoluteTimeout === undefined ? ' unless "absoluteTimeout" is set' : "";
  const expectation = `at most the absolute timeout, which is ${durationText(absoluteMs)}${origin}`;
  throw invalidOption(packageName, "idleTimeout", expectation, idleTimeout);
}

function resolveSchema({
  schema,
  validateOnRead = false,
  schemaVersion = 1,
  upgrade,
}: SessionManagerOptions<object>): Pick<
  ResolvedManagerOptions,
  "schema" | "validateOnRead" | "schemaVersion" | "upgrade"
> {
  // A schema may be a function, as in some libraries.
  if (schema !== undefined && typeof schema?.["~standard"]?.validate !== "function") {
    throw invalidOption(packageName, "schema", "a Standard Schema", schema);
  }
  if (typeof validateOnRead !== "boolean" || (validateOnRead && schema === undefined)) {
    throw invalidOption(packageName, "validateOnRead", "a boolean, and true only with a schema", validateOnRead);
  }
  requirePositiveInteger(schemaVersion, "schemaVersion");
  if (upgrade !== undefined && typeof upgrade !== "function") {
    throw invalidOption(packageName, "upgrade", "a function", upgrade);
  }
  return { schema, validateOnRead, schemaVersion, upgrade };
}

function resolveTouchAfter(touchAfter: Duration | undefined, idleMs: number): number | undefined {
  if (touchAfter === undefined) return undefined;
  const ms = durationMs(touchAfter, "touchAfter", 0);
  if (ms >= idleMs)
    throw invalidOption(packageName, "touchAfter", `less than the idle timeout of ${idleMs} ms`, touchAfter);
  return ms;
}

function resolveGrace(grace: Duration = 0): number {
  const ms = durationMs(grace, "regenerationGrace", 0);
  if (ms > maxGraceMs) throw invalidOption(packageName, "regenerationGrace", "at most 5 minutes", grace);
  return ms;
}

function resolveLimit(limit: SessionLimit | undefined): SessionLimit | undefined {
  if (limit === undefined) return undefined;
  if (typeof limit !== "object" || limit === null) throw invalidOption(packageName, "sessionLimit", "an object", limit);
  refuseUnknownOptions(packageName, limit, ["max", "whenReached"]);
  requirePositiveInteger(limit.max, "sessionLimit.max");
  if (limit.whenReached !== "reject" && limit.whenReached !== "evictOldest") {
    throw invalidOption(packageName, "sessionLimit.whenReached", '"reject" or "evictOldest"', limit.whenReached);
  }
  return { max: limit.max, whenReached: limit.whenReached };
}

/** Checks the option for every store, also for one that is not swept. */
function resolveSweep(sweep: SweepSchedule | false): SweepSchedule | false {
  if (sweep === false) return false;
  if (typeof sweep !== "object" || sweep === null) {
    throw invalidOption(packageName, "sweep", "an object or false", sweep);
  }
  refuseUnknownOptions(packageName, sweep, ["interval", "batchSize"]);
  const { interval, batchSize } = sweep;
  if (interval !== undefined) durationMs(interval, "sweep.interval");
  if (batchSize !== undefined) requirePositiveInteger(batchSize, "sweep.batchSize");
  return { interval, batchSize };
}

function requirePositiveInteger(value: unknown, option: string): void {
  if (!Number.isSafeInteger(value) || (value as number) < 1) {
    throw invalidOption(packageName, option, "a positive integer", value);
  }
}

/** A string passed by mistake may be the URL of a backend, with its password. */
function unquoted(value: unknown): unknown {
  return typeof value === "string" ? "a string" : value;
}
