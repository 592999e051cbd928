import { expect, test } from "vitest";
import { MapDriver } from "../../testkit/test/fixtures/map-driver.js";
import {
  type Batch,
  type Call,
  defineStore,
  type Read,
  type SessionRecord,
  type StoreDriver,
} from "../src/adapter/index.js";

test("an operation that was never sent carries the driver's reason as its cause", async () => {
  const refusal = new Error("connection refused");
  const wait = (call: Call): Promise<never> => {
    call.sent = false;
    call.reason = refusal;
    return new Promise(() => {});
  };
  const driver: StoreDriver = Object.assign(new MapDriver(), {
    isLocal: false,
    timeoutMs: 30,
    batches: { reads: { max: 10, inFlight: 1 } },
    read: (_id: string, call: Call): Promise<SessionRecord | undefined> => wait(call),
    readMany: (_batch: Batch<string>, call: Call): Promise<ReadonlyMap<string, Read>> => wait(call),
  });
  const store = defineStore(driver);
  const unavailable = { code: "UNAVAILABLE", outcomeUnknown: false, cause: refusal };
  await expect(store.get("alone")).rejects.toMatchObject(unavailable);
  const together = await Promise.allSettled([store.get("a"), store.get("b")]);
  for (const outcome of together) expect(outcome).toMatchObject({ status: "rejected", reason: unavailable });
});
