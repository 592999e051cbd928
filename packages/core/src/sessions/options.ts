import type { StandardSchemaV1 } from "@standard-schema/spec";
import { jsonCodec, type SessionCodec } from "../content/codec.js";
import type { SessionData, UpgradeFunction } from "../content/session-data.js";
import type { UnreadablePolicy } from "../content/unreadable.js";
import { type Clock, systemClock } from "../contract/clock.js";
import { type Duration, durationMs } from "../contract/duration.js";
import { invalidOption, refuseUnknownOptions } from "../contract/errors.js";
import type { SessionLimit, SessionStore } from "../contract/store.js";
import { type BindingOptions, type ResolvedBinding, resolveBinding } from "./binding.js";
import { type DetectionOptions, type ResolvedDetection, resolveDetection } from "./detection.js";
import { type ConflictPolicy, requirePolicy, requireUnreadablePolicy } from "./policies.js";

export interface SweepSchedule {
  /** Mean time between two sweeps. Default `"1m"`. */
  readonly interval?: Duration | undefined;
  /** The most sessions removed by one call of the store. Default 1000. */
  readonly batchSize?: number | undefined;
}

/**
 * @typeParam Data - what the sessions hold; inferred from `schema`
 * @typeParam Input - what the schema makes that of: keys with a default may be missing
 */
export interface SessionManagerOptions<Data extends object = SessionData, Input extends object = Data> {
  /** Where sessions are kept. The manager closes it when it is closed. */
  readonly store: SessionStore;
  /** A session unused this long ends. At most `absoluteTimeout`. Default `"30m"`, or `absoluteTimeout` if that is less. */
  readonly idleTimeout?: Duration | undefined;
  /** A session older than this ends, however busy. Default `"12h"`. */
  readonly absoluteTimeout?: Duration | undefined;
  /**
   * A read moves the stored deadline only when it moves it by at least this much, which spares writes; a session may end
   * that much early, never late. 0 writes at each read. Less than `idleTimeout`. Default, also for a session whose own
   * idle timeout is no longer than this: a sixtieth of the session's idle timeout.
   */
  readonly touchAfter?: Duration | undefined;
  /** Default `"merge"`. */
  readonly onConflict?: ConflictPolicy | undefined;
  /**
   * How long the token that a session had before a regeneration goes on reading it, so that requests under way are not
   * logged out. Measured as deadlines are: by the store's clock, to within twice its `expiryPrecisionMs`. At most 5 minutes;
   * some seconds will do. Default 0: the old token is dead at once.
   *
   * It reads the session as it is, new privileges included, and can destroy it; it writes nothing and keeps nothing alive.
   * The "renewal timeout" of OWASP's Session Management Cheat Sheet. Costs a read more for each token that finds nothing,
   * and a round trip more for a regeneration.
   */
  readonly regenerationGrace?: Duration | undefined;
  /** How many sessions one user may have. Default: no limit. */
  readonly sessionLimit?: SessionLimit | undefined;
  /** The largest payload in bytes of UTF-8. Default 1 MiB, or what the store holds if that is less. */
  readonly maxPayloadBytes?: number | undefined;
  /** How sessions become payloads. Default {@link jsonCodec}. */
  readonly codec?: SessionCodec | undefined;
  /**
   * What the data of each session must be: any Standard Schema (zod, valibot, arktype), synchronous or asynchronous. Every
   * write is validated, after the merge, and refused with `INVALID_DATA`. What is stored is the schema's output, as JSON,
   * and it is validated again with the next write: a schema must accept what it has put out, so no `transform` or `Date`.
   * Default: anything goes.
   */
  readonly schema?: StandardSchemaV1<Input, Data> | undefined;
  /** Whether reads validate too, and fill in defaults; a stored session that fails is then unreadable. Default false. */
  readonly validateOnRead?: boolean | undefined;
  /**
   * The version of the data that this release of the application writes. Raise it by 1 with each change of the data that
   * the release before could not have stored. A payload of a later version is unreadable. Default 1.
   */
  readonly schemaVersion?: number | undefined;
  /**
   * Makes data of this `schemaVersion` from what version `from` has stored. Runs when such a session is read; its result
   * is validated, and stored by the next write, not before. A session is unreadable when this throws, when its result does
   * not match the schema, and when it is needed but not set.
   */
  readonly upgrade?: UpgradeFunction<NoInfer<Input>> | undefined;
  /** What is answered for a stored session that cannot be read. Default `"fail"`. */
  readonly onUnreadable?: UnreadablePolicy | undefined;
  /** How long one operation of the store may take, in milliseconds, with every wait for a turn. Default: the store's own timeout. */
  readonly timeoutMs?: number | undefined;
  /** When expired sessions are removed, for stores that are swept; `false` where another process does it. Default `{}`. */
  readonly sweep?: SweepSchedule | false | undefined;
  /**
   * Whether a session is tied to the client that it was created or last regenerated for, as the `client` of those calls
   * says. A read that names no `client` is not checked, nor is a session that was made without. Default: not at all.
   *
   * An obstacle and a signal, no proof: a thief behind the same proxy passes, and a user who changes network does not (see
   * "Binding the Session ID to Other User Properties" of OWASP's Session Management Cheat Sheet).
   */
  readonly binding?: BindingOptions | undefined;
  /** When `security` events are emitted. Default `{}`. */
  readonly detection?: DetectionOptions | undefined;
  /** Dates events. The deadlines of sessions go by the store's own clock. Default: the system's. */
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
/** A stolen token that was regenerated away should not be of use for longer. */
const maxGraceMs = 5 * 60_000;
const known = [
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
  if (typeof options !== "object" || options === null)
    throw invalidOption(packageName, "options", "an object", unquoted(options));
  refuseUnknownOptions(packageName, options, known);
  const { store, codec = jsonCodec, onConflict = "merge", onUnreadable = "fail", sweep = {}, timeoutMs } = options;
  const { clock = systemClock } = options;
  if (typeof store?.get !== "function" || typeof store.capabilities?.maxPayloadBytes !== "number") {
    throw invalidOption(packageName, "store", "a SessionStore", unquoted(store));
  }
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

/** The two timeouts of a manager or of one session, checked against each other. */
export function resolveTimeouts(
  { idleTimeout, absoluteTimeout }: Pick<SessionManagerOptions, "idleTimeout" | "absoluteTimeout">,
  defaults: { readonly idleMs: number; readonly absoluteMs: number },
): { idleMs: number; absoluteMs: number } {
  const absoluteMs =
    absoluteTimeout === undefined ? defaults.absoluteMs : durationMs(absoluteTimeout, "absoluteTimeout");
  // A default gives way to what was asked for; two that were asked for must agree.
  if (idleTimeout === undefined) return { idleMs: Math.min(defaults.idleMs, absoluteMs), absoluteMs };
  const idleMs = durationMs(idleTimeout, "idleTimeout");
  if (idleMs <= absoluteMs) return { idleMs, absoluteMs };
  throw invalidOption(packageName, "idleTimeout", `at most the absolute timeout of ${absoluteMs} ms`, idleTimeout);
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
  // Schemas of some libraries are functions.
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

/** Checked for every store, also one that is not swept: the option is wrong all the same. */
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

/** Where options or a store belong somebody may pass the URL of a backend, with the password in it. */
function unquoted(value: unknown): unknown {
  return typeof value === "string" ? "a string" : value;
}
