import { SessionError } from "@sojourn/core";
import { describe, expect, test } from "vitest";
import { classify } from "../src/errors.js";

/** What the driver throws, as far as it matters here. */
const error = (name: string, code?: number | string, errorLabels: string[] = []): Error =>
  Object.assign(new Error("driver"), { name, code, errorLabels });
const server = (code: number): Error => error("MongoServerError", code);

const table: readonly [thrown: unknown, code: string, retryable: boolean, outcomeUnknown: boolean][] = [
  [error("MongoNetworkError"), "UNAVAILABLE", true, true],
  [error("MongoNetworkTimeoutError"), "UNAVAILABLE", true, true],
  [error("MongoServerSelectionError"), "UNAVAILABLE", true, false],
  [error("MongoWaitQueueTimeoutError"), "UNAVAILABLE", true, false],
  [error("MongoPoolClearedError"), "UNAVAILABLE", true, false],
  [error("MongoPoolClearedOnNetworkError"), "UNAVAILABLE", true, true],
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
    expect(classify(thrown, "update", true)).toMatchObject({ code, retryable, outcomeUnknown, cause: thrown });
  });

  test("a read leaves nothing unknown", () => {
    expect(classify(error("MongoNetworkError"), "get", false)).toMatchObject({ outcomeUnknown: false });
  });

  test("an error of ours stays as it is", () => {
    const ours = new SessionError("TIMEOUT", "late");
    expect(classify(ours, "get", false)).toBe(ours);
  });
});
