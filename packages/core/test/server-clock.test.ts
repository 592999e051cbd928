import { ServerClock } from "@sojourn/core/adapter";
import { describe, expect, it } from "vitest";

describe("the estimate of a server's clock", () => {
  it("is unbounded before the first answer", () => {
    const clock = new ServerClock();
    expect(clock.uncertaintyMs()).toBe(Number.POSITIVE_INFINITY);
    expect(clock.ageMs()).toBe(Number.POSITIVE_INFINITY);
  });

  it.each([1, 1_000])("contains the server's time at a resolution of %i ms", (resolutionMs) => {
    const clock = new ServerClock();
    const ahead = 3_600_000;
    const serverTime = () => performance.now() + ahead;
    for (let n = 0; n < 200; n++) {
      const askedAt = performance.now() - Math.random() * 5;
      const answer = Math.floor(serverTime() / resolutionMs) * resolutionMs;
      expect(clock.observe(answer, askedAt, resolutionMs)).toBe(true);
      const time = serverTime();
      expect(clock.earliest()).toBeLessThanOrEqual(time + 1);
      expect(clock.latest()).toBeGreaterThanOrEqual(time - 1);
    }
    expect(clock.uncertaintyMs()).toBeLessThan(resolutionMs + 10);
  });

  it("narrows with each answer, and starts again where an answer contradicts the earlier ones", () => {
    const clock = new ServerClock();
    const now = performance.now();
    clock.observe(1_000_000, now - 500);
    const wide = clock.uncertaintyMs();
    clock.observe(1_000_000, performance.now());
    expect(clock.uncertaintyMs()).toBeLessThan(wide);
    expect(clock.observe(9_000_000, performance.now())).toBe(false);
    expect(clock.earliest()).toBeGreaterThan(8_000_000);
  });
});
