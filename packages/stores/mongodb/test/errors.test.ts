import { describe, expect, test } from "vitest";
import { classify, describeFailure } from "../src/errors.js";

/** An error of the driver, with the members that the store reads. */
const error = (name: string, code?: number | string, errorLabels: string[] = []): Error =>
  Object.assign(new Error("driver"), { name, code, errorLabels });
const server = (code: number): Error => error("MongoServerError", code);

const table: readonly [thrown: unknown, code: string, retryable: boolean, outcomeUnknown: boolean][] = [
  [error("MongoNetworkError"), "UNAVAILABLE", true, true],
  [error("MongoNetworkTimeoutError"), "TIMEOUT", true, true],
  [error("MongoServerSelectionError"), "UNAVAILABLE", true, false],
  [error("MongoWaitQueueTimeoutError"), "UNAVAILABLE", true, false],
  [error("MongoPoolClearedError"), "UNAVAILABLE", true, false],
  [error("PoolClearedOnNetworkError"), "UNAVAILABLE", true, true],
  [error("MongoPoolClosedError"), "UNAVAILABLE", true, false],
  [error("MongoOperationTimeoutError"), "TIMEOUT", true, true],
  [error("MongoTopologyClosedError"), "CLOSED", false, false],
  [error("MongoNotConnectedError"), "CLOSED", false, false],
  [error("MongoClientClosedError"), "CLOSED", false, false],
  [error("Error", "ECONNRESET"), "UNAVAILABLE", true, true],
  [error("Error", "EPIPE"), "UNAVAILABLE", true, true],
  [server(10_107), "UNAVAILABLE", true, false],
  [server(13_435), "UNAVAILABLE", true, false],
  [server(189), "UNAVAILABLE", true, true],
  [server(11_602), "UNAVAILABLE", true, true],
  [server(91), "UNAVAILABLE", true, true],
  [server(64), "UNAVAILABLE", true, true],
  [error("MongoWriteConcernError", 91), "UNAVAILABLE", true, true],
  [error("MongoWriteConcernError", 100), "BACKEND", false, false],
  [server(50), "TIMEOUT", true, true],
  [server(13), "BACKEND", false, false],
  [server(18), "BACKEND", false, false],
  [server(85), "BACKEND", false, false],
  [server(11_000), "BACKEND", false, false],
  [server(10_334), "PAYLOAD_TOO_LARGE", false, false],
  [server(17_419), "PAYLOAD_TOO_LARGE", false, false],
  [server(20), "BACKEND", false, false],
  [error("MongoServerError", 4_711, ["RetryableWriteError"]), "UNAVAILABLE", true, true],
  [error("MongoRuntimeError"), "BACKEND", false, true],
  ["not even an error", "BACKEND", false, true],
];

describe("errors of the driver", () => {
  test.each(table)("%s", (thrown, code, retryable, outcomeUnknown) => {
    const classified = classify(thrown, { operation: "update", sent: true });
    expect(classified).toMatchObject({ code, retryable, outcomeUnknown, cause: thrown });
  });

  test("an error before the command was sent leaves no outcome unknown", () => {
    const unsent = { operation: "update", sent: false };
    expect(classify(error("MongoNetworkError"), unsent)).toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: false });
    const timedOut = classify(error("MongoNetworkTimeoutError"), unsent);
    expect(timedOut).toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: false });
  });

  test("an error of a read leaves no outcome unknown", () => {
    const read = { operation: "get", isSent: true, isWrite: false };
    expect(describeFailure(error("MongoNetworkError"), read)).toMatchObject({ outcomeUnknown: false });
  });
});
