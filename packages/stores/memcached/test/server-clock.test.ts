import { afterEach, expect, test, vi } from "vitest";
import { exptimeOf } from "../src/items.js";
import { ServerClock } from "../src/server-clock.js";

const second = 1_000;
const day = 86_400 * second;

afterEach(() => vi.useRealTimers());

/** Readings of a server whose time is `serverAt` milliseconds when the monotonic clock shows 0. */
function useServer(serverAt: number): () => Promise<number> {
  vi.useFakeTimers({ toFake: ["performance", "Date"] });
  const start = performance.now();
  return async () => Math.floor((serverAt + performance.now() - start) / second);
}

/** A refresh runs in the background. */
async function refreshed(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("is never ahead of the server and at most a second behind, and nearer with each reading", async () => {
  const serverAt = 1_700_000_000_750;
  const readSeconds = useServer(serverAt);
  const clock = new ServerClock();
  await clock.ready(readSeconds);
  expect(serverAt - clock.now()).toBe(750);
  vi.advanceTimersByTime(60_300);
  await clock.ready(readSeconds);
  await refreshed();
  expect(serverAt + 60_300 - clock.now()).toBe(50);
  vi.advanceTimersByTime(60_700);
  await clock.ready(readSeconds);
  await refreshed();
  expect(serverAt + 121_000 - clock.now()).toBe(50);
});

test("follows a server that was set back", async () => {
  const clock = new ServerClock();
  await clock.ready(useServer(1_700_000_000_000));
  const now = 1_600_000_000_400;
  vi.advanceTimersByTime(60_001);
  await clock.ready(async () => Math.floor(now / second));
  await refreshed();
  expect(Math.abs(now - clock.now())).toBeLessThanOrEqual(second);
});

test("notes times that other processes have stored, within the bounds that the server gave", async () => {
  const clock = new ServerClock();
  await clock.ready(useServer(1_700_000_000_750));
  clock.observe(1_700_000_000_600);
  expect(clock.now()).toBe(1_700_000_000_600);
  clock.observe(1_700_000_000_100);
  expect(clock.now()).toBe(1_700_000_000_600);
  clock.observe(1_800_000_000_000);
  expect(clock.now()).toBe(1_700_000_001_000);
});

test("does not use the clock of this process", async () => {
  const clock = new ServerClock();
  await clock.ready(useServer(1_700_000_000_000));
  vi.setSystemTime(1);
  expect(clock.now()).toBe(1_700_000_000_000);
});

test("tries again when the first reading fails", async () => {
  const readSeconds = useServer(1_700_000_000_000);
  const clock = new ServerClock();
  await expect(clock.ready(() => Promise.reject(new Error("down")))).rejects.toThrow("down");
  await clock.ready(readSeconds);
  expect(clock.now()).toBe(1_700_000_000_000);
});

const now = 1_700_000_000_000;
test.each([
  ["a deadline in the past", -5 * second, 1],
  ["1 ms", 1, 2],
  ["999 ms", 999, 2],
  ["1 s", second, 2],
  ["1,001 ms", 1_001, 3],
  ["30 days less a second", 30 * day - second, 30 * 86_400],
  ["30 days, where seconds turn into a date", 30 * day, now / second + 30 * 86_400 + 2],
  ["31 days", 31 * day, now / second + 31 * 86_400 + 2],
  ["400 days", 400 * day, now / second + 400 * 86_400 + 2],
  ["100 years, beyond memcached's range", 36_525 * day, 0xffff_ffff],
])("memcached is told of %s: never zero, never too early", (_, ms, exptime) => {
  expect(exptimeOf(now + ms, now)).toBe(exptime);
});
