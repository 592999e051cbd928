import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { ServerClock } from "../src/clock.js";

/** A server whose clock is ahead of the monotonic one by a constant. */
const serverAhead = (ms: number) => async (): Promise<Date> => new Date(performance.now() + ms);

describe("the server's clock", () => {
  test("lies between the bounds, whatever this process thinks the time is", async () => {
    const clock = new ServerClock();
    const before = performance.now() + 5_000_000;
    const { earliest, latest } = await clock.now(serverAhead(5_000_000));
    expect(earliest).toBeLessThanOrEqual(performance.now() + 5_000_000);
    expect(latest).toBeGreaterThanOrEqual(Math.floor(before));
    expect(latest - earliest).toBeLessThan(10_000);
  });

  test("never goes back while the server's does not", async () => {
    const clock = new ServerClock();
    let last = await clock.now(serverAhead(1_000));
    for (let round = 0; round < 50; round++) {
      // Measured anew each time, and never as precisely.
      clock.doubt();
      const moment = await clock.now(serverAhead(1_000));
      expect(moment.earliest).toBeGreaterThanOrEqual(last.earliest);
      expect(moment.latest).toBeGreaterThanOrEqual(last.latest);
      last = moment;
    }
  });

  test("goes on after a vague measurement has been followed by a precise one", async () => {
    const clock = new ServerClock();
    const vague = async (): Promise<Date> => {
      await sleep(80);
      return new Date(performance.now());
    };
    let last = await clock.now(vague);
    clock.doubt();
    for (let round = 0; round < 5; round++) {
      await sleep(5);
      const moment = await clock.now(serverAhead(0));
      expect(moment.latest).toBeGreaterThan(last.latest);
      last = moment;
    }
  });

  test("is asked once by many at the same time, and again after a failure", async () => {
    const clock = new ServerClock();
    let asked = 0;
    const ask = async (): Promise<Date> => {
      asked += 1;
      if (asked === 1) throw new Error("down");
      return new Date(1_000_000);
    };
    const failed = await Promise.allSettled([clock.now(ask), clock.now(ask)]);
    expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(asked).toBe(1);
    await Promise.all([clock.now(ask), clock.now(ask), clock.now(ask)]);
    await clock.now(ask);
    expect(asked).toBe(2);
  });
});
