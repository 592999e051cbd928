import type { SessionLimit } from "@sojourn/core";
// The kit's own generator of numbers, which it does not publish.
import { randomFrom } from "../../packages/testkit/src/random.js";
import { type Call, lifetimeOf, type Sight } from "./operation.js";

/**
 * A round of random calls. The ids in use follow from the time alone, so that all processes meet on the same ones
 * without talking: each of some slots has a current generation, and every generation is an id with two more to be
 * renamed to. Ids only move forward, so a session never comes back to an id that it left.
 */
export interface Round {
  readonly number: number;
  readonly seed: number;
  /** Monotonic milliseconds. */
  readonly startsAt: number;
  readonly endsAt: number;
}

export interface ClientName {
  /** Names the process, not the same after a restart. */
  readonly process: number;
  readonly client: number;
}

const slots = 6;
const generationMs = 500;
/** The sessions of every fourth generation are short-lived. */
const shortEvery = 4;
const longIdleMs = 60 * 60 * 1_000;
const sessionsPerProcess = 1_000_000;
const sessionsPerClient = 50_000;
const suffixes = ["", "+", "++"] as const;

const limits: Readonly<Record<string, SessionLimit>> = {
  evict: { max: 3, whenReached: "evictOldest" },
  reject: { max: 4, whenReached: "reject" },
};
const kinds = ["free1", "free2", "evict", "reject"] as const;

export function usersOf(round: number): string[] {
  return kinds.map((kind) => `${kind}-${round}`);
}

/** The limit that every call gives for this user: a limit holds only if all of them name it. */
export function limitOf(userId: string | null | undefined): SessionLimit | undefined {
  return limits[userId?.split("-")[0] ?? ""];
}

/** The id without what renames added: sessions of one family meet, others never do. */
export function familyOf(id: string): string {
  return id.replace(/\++$/, "");
}

/** All ids that a round may have used. */
export function idsOf(round: Round): string[] {
  const last = Math.ceil((round.endsAt - round.startsAt) / generationMs) + 1;
  const ids: string[] = [];
  for (let generation = 0; generation <= last; generation += 1) {
    for (let slot = 0; slot < slots; slot += 1) {
      for (const suffix of suffixes) ids.push(`r${round.number}s${slot}g${generation}${suffix}`);
    }
  }
  return ids;
}

/** Draws the calls of one client. */
export class Generator {
  readonly #round: Round;
  readonly #name: ClientName;
  readonly #random: () => number;
  readonly #versions = new Map<string, number>();
  #writes = 0;
  #sessions: number;

  constructor(round: Round, name: ClientName) {
    this.#round = round;
    this.#name = name;
    this.#random = randomFrom(round.seed * 7_919 + round.number * 104_729 + name.process * 31 + name.client);
    this.#sessions = name.process * sessionsPerProcess + name.client * sessionsPerClient;
  }

  /** Lets later updates expect the version that an answer showed. */
  learn(sights: readonly Sight[]): void {
    for (const { id, version } of sights) this.#versions.set(id, version);
  }

  next(now: number): Call {
    const { family, idleMs } = this.#pickFamily(now);
    const level = this.#weigh([60, 25, 15]);
    const id = `${family}${suffixes[level]}`;
    const draw = this.#random() * 100;
    if (draw < 22) return this.#create(this.#chance(0.9) ? family : id, idleMs);
    if (draw < 42) return { verb: "get", id };
    if (draw < 62) return this.#update(id, idleMs);
    if (draw < 71) return this.#touch(id, idleMs);
    if (draw < 79) return level === 2 ? { verb: "get", id } : this.#rename(id, level);
    if (draw < 86) return { verb: "destroy", id };
    if (draw < 97) return { verb: "listByUser", userId: this.#pickUser() };
    if (draw < 98.5) return { verb: "destroyByUser", userId: this.#pickUser() };
    return { verb: "destroyByUser", userId: this.#pickUser(), except: id };
  }

  #create(id: string, idleMs: number): Call {
    const userId = this.#chance(0.75) ? this.#pickUser() : undefined;
    this.#sessions += 1;
    const absoluteMs = lifetimeOf(this.#sessions);
    return { verb: "create", id, userId, tag: this.#tag(), idleMs, absoluteMs, limit: limitOf(userId) };
  }

  #update(id: string, idleMs: number): Call {
    const expectedVersion = this.#chance(0.5) ? this.#versions.get(id) : undefined;
    return {
      verb: "update",
      id,
      tag: this.#tag(),
      ...(this.#chance(0.3) ? { idleMs } : {}),
      ...(expectedVersion === undefined ? {} : { expectedVersion }),
      ...this.#gain(0.2),
    };
  }

  #touch(id: string, idleMs: number): Call {
    return { verb: "touch", id, idleMs, ...(this.#chance(0.2) ? { shorten: true } : {}) };
  }

  #rename(id: string, level: number): Call {
    const expectedVersion = this.#chance(0.2) ? this.#versions.get(id) : undefined;
    return {
      verb: "rename",
      id,
      newId: `${familyOf(id)}${suffixes[level + 1]}`,
      ...(expectedVersion === undefined ? {} : { expectedVersion }),
      // A change of user is a write, and every write has its tag.
      ...(this.#chance(0.4) ? { tag: this.#tag(), ...this.#gain(0.5) } : {}),
    };
  }

  #gain(chance: number): { userId?: string | null; limit?: SessionLimit } {
    if (!this.#chance(chance)) return {};
    const userId = this.#chance(0.15) ? null : this.#pickUser();
    const limit = limitOf(userId);
    return { userId, ...(limit === undefined ? {} : { limit }) };
  }

  #pickFamily(now: number): { family: string; idleMs: number } {
    const slot = Math.floor(this.#random() * slots);
    const elapsed = now - this.#round.startsAt + (slot / slots) * generationMs;
    const back = this.#chance(0.2) ? 1 : 0;
    const generation = Math.max(0, Math.floor(elapsed / generationMs) - back);
    const isShort = (generation + slot) % shortEvery === 0;
    const idleMs = isShort ? 60 + Math.floor(this.#random() * 400) : longIdleMs + Math.floor(this.#random() * 60_000);
    return { family: `r${this.#round.number}s${slot}g${generation}`, idleMs };
  }

  #pickUser(): string {
    return `${kinds[Math.floor(this.#random() * kinds.length)]}-${this.#round.number}`;
  }

  #tag(): string {
    this.#writes += 1;
    const tag = `${this.#name.process}.${this.#name.client}.${this.#round.number}.${this.#writes}`;
    return this.#chance(0.05) ? `${tag}|${"é".repeat(1_000)}` : tag;
  }

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }

  #weigh(weights: readonly number[]): number {
    let rest = this.#random() * weights.reduce((sum, weight) => sum + weight, 0);
    return Math.max(
      weights.findIndex((weight) => {
        rest -= weight;
        return rest < 0;
      }),
      0,
    );
  }
}
