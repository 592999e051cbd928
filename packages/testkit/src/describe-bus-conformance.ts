import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { BusMessage, BusState, SessionBus } from "@sojourn/core/adapter";
import { awkwardTexts } from "./cases/text.js";
import type { TestRunner } from "./describe-conformance.js";

/** The functions that a bus' tests pass to the kit. */
export interface BusHarness {
  /** The name of the suite in the runner's output. */
  readonly name: string;
  /** Opens a bus. Buses on one channel hear each other, as two nodes of one application do. The kit closes it. */
  open(channel: string): Promise<SessionBus>;
  /** Breaks all connections of buses, which find new ones by themselves. Omit where there are none. */
  cut?(): Promise<void>;
}

/** Far longer than any bus needs: distinguishes slow from never. */
const patienceMs = 30_000;

/** Registers the conformance cases of a bus as tests. */
export function describeBusConformance(
  harness: BusHarness,
  { describe, test }: Pick<TestRunner, "describe" | "test">,
): void {
  describe(`conformance of ${harness.name}`, { concurrent: false, concurrency: 1 }, () => {
    for (const [title, run] of cases) {
      test(title, { timeout: 3 * patienceMs }, async (context) => {
        if (run === findsLostMessages && harness.cut === undefined) {
          context.skip("there is nothing to cut");
          return;
        }
        const opened: SessionBus[] = [];
        const open = async (channel: string): Promise<SessionBus> => {
          const bus = await harness.open(channel);
          opened.push(bus);
          return bus;
        };
        try {
          await run({ open, channel: `t${randomBytes(8).toString("hex")}`, cut: async () => harness.cut?.() });
        } finally {
          await Promise.all(opened.map((bus) => bus.close()));
        }
      });
    }
  });
}

interface BusCase {
  readonly open: BusHarness["open"];
  readonly channel: string;
  cut(): Promise<void>;
}

async function carriesMessages({ open, channel }: BusCase): Promise<void> {
  const [here, there] = [await open(channel), await open(channel)];
  const heard = [await Ear.on(here), await Ear.on(there)];
  const messages: BusMessage[] = [
    ...awkwardTexts.map((id) => ({ kind: "ended", ids: [id] }) as const),
    { kind: "ended", ids: awkwardTexts.slice(0, 5) },
    { kind: "renamed", id: '"a"', newId: "é😀" },
    { kind: "changed", id: "a", version: 1_000_000_000 },
    { kind: "changed", id: "a" },
    { kind: "cleared" },
  ];
  for (const message of messages) here.publish(message);
  for (const ear of heard) {
    await ear.until(() => ear.messages.length >= messages.length);
    assert.deepEqual(ear.messages, messages);
    assert.deepEqual(ear.states, ["up"]);
  }
}

async function carriesManyIds({ open, channel }: BusCase): Promise<void> {
  const [here, there] = [await open(channel), await open(channel)];
  const ear = await Ear.on(there);
  await Ear.on(here);
  const ids = Array.from({ length: 2_000 }, (_, n) => String(n).padStart(43, "x"));
  here.publish({ kind: "ended", ids });
  const heard = (): string[] => ear.messages.flatMap((message) => (message.kind === "ended" ? message.ids : []));
  await ear.until(() => heard().length >= ids.length);
  assert.deepEqual(heard(), ids);
}

async function separatesChannels({ open, channel }: BusCase): Promise<void> {
  const [here, there] = [await open(channel), await open(`${channel}x`)];
  const [near, far] = [await Ear.on(here), await Ear.on(there)];
  here.publish({ kind: "changed", id: "a" });
  await near.until(() => near.messages.length > 0);
  there.publish({ kind: "changed", id: "b" });
  await far.until(() => far.messages.length > 0);
  assert.deepEqual(far.messages, [{ kind: "changed", id: "b" }]);
}

async function endsSubscriptions({ open, channel }: BusCase): Promise<void> {
  const bus = await open(channel);
  const [leaving, staying] = [await Ear.on(bus), await Ear.on(bus)];
  leaving.leave();
  bus.publish({ kind: "cleared" });
  await staying.until(() => staying.messages.length > 0);
  assert.deepEqual(leaving.messages, []);
  await bus.close();
  await bus.close();
  bus.publish({ kind: "cleared" });
  assert.deepEqual(staying.states, ["up", "down"]);
  assert.equal(leaving.states.length, 1);
  assert.equal(staying.messages.length, 1);
}

async function findsLostMessages({ open, channel, cut }: BusCase): Promise<void> {
  const [here, there] = [await open(channel), await open(channel)];
  const [near, far] = [await Ear.on(here), await Ear.on(there)];
  for (let round = 1; round <= 3; round++) {
    const told = near.messages.length;
    await cut();
    for (const ear of [near, far]) {
      await ear.until(() => ear.states.filter((state) => state === "up").length > round);
      assert.ok(ear.states.lastIndexOf("down") > 0 || ear.states.includes("gap"), "a cut bus says nothing of it");
    }
    here.publish({ kind: "changed", id: String(round) });
    await far.until(() => far.knows(String(round)));
    await near.until(() => near.messages.length > told);
  }
}

const cases: readonly (readonly [title: string, run: (context: BusCase) => Promise<void>])[] = [
  ["a message reaches every subscriber once, the sender's own too, in order and unchanged", carriesMessages],
  ["two thousand ids of one end arrive", carriesManyIds],
  ["a channel is not heard on another, whose name it begins", separatesChannels],
  [
    "a subscription that ended, or whose bus was closed, hears nothing; close is down, and idempotent",
    endsSubscriptions,
  ],
  ["a cut connection is told as down, then up, and messages arrive again", findsLostMessages],
];

/** A subscriber that remembers what it heard. */
class Ear {
  readonly messages: BusMessage[] = [];
  readonly states: BusState[] = [];
  leave: () => void = () => {};

  /** Subscribes, and waits until the bus is up. */
  static async on(bus: SessionBus): Promise<Ear> {
    const ear = new Ear();
    ear.leave = bus.subscribe({
      message: (message) => ear.messages.push(message),
      state: (state) => ear.states.push(state),
    });
    await ear.until(() => ear.states.at(-1) === "up");
    return ear;
  }

  knows(id: string): boolean {
    return this.messages.some((message) => message.kind === "cleared" || ("id" in message && message.id === id));
  }

  async until(isSo: () => boolean): Promise<void> {
    const end = performance.now() + patienceMs;
    while (!isSo()) {
      if (performance.now() > end) {
        assert.fail(`after ${patienceMs} ms heard ${this.messages.length} messages and ${this.states.join(", ")}`);
      }
      await sleep(2);
    }
  }
}
