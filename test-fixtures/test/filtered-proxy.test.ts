import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import { startFilteredProxy, startRedis, whyNoPacketFilter } from "../src/index.js";

const reason = whyNoPacketFilter();

describe.skipIf(reason !== undefined)(`startFilteredProxy${reason === undefined ? "" : `: ${reason}`}`, () => {
  it("drops the packets of open connections silently, while new ones pass", async () => {
    const server = await startRedis();
    const network = await startFilteredProxy(server.url);
    const old = new Redis(network.url, { commandTimeout: 500, retryStrategy: () => null });
    const ends: string[] = [];
    for (const event of ["close", "error"]) old.on(event, () => ends.push(event));
    await once(old, "ready");
    await network.dropPackets();
    await expect(old.set("key", "late")).rejects.toThrow("timed out");
    expect(ends).toEqual([]);
    const fresh = new Redis(network.url);
    expect(await fresh.get("key")).toBe(null);
    expect(network.proxy.connections).toBe(2);
    // The kernel sends again what was not acknowledged.
    await network.passPackets();
    await expect.poll(() => fresh.get("key")).toBe("late");
    old.disconnect();
    fresh.disconnect();
    await Promise.all([network.stop(), server.stop()]);
    const addresses = () =>
      Object.values(networkInterfaces()).flatMap((all) => all?.map(({ address }) => address) ?? []);
    await expect.poll(addresses).not.toContain(network.hostAddress);
  });
});
