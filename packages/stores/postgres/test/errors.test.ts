import pg from "pg";
import { expect, test } from "vitest";
import { classify, isWorthRepeating, isWrongIsolation, leavesConnectionIntact } from "../src/errors.js";

const server = (code: string): Error =>
  Object.assign(new pg.DatabaseError("words", 5, "error"), { code, severity: "ERROR" });
const socket = (code: string): Error => Object.assign(new Error(`connect ${code}`), { code });

test.each([
  ["08006", "UNAVAILABLE", true],
  ["08P01", "UNAVAILABLE", true],
  ["53100", "UNAVAILABLE", false],
  ["53300", "UNAVAILABLE", false],
  ["40001", "UNAVAILABLE", false],
  ["40P01", "UNAVAILABLE", false],
  ["57P01", "UNAVAILABLE", true],
  ["57P02", "UNAVAILABLE", true],
  ["57P03", "UNAVAILABLE", true],
  ["57P05", "UNAVAILABLE", false],
  ["55P03", "TIMEOUT", false],
  ["57014", "TIMEOUT", false],
  ["25006", "UNAVAILABLE", false],
  ["26000", "BACKEND", false],
  ["28000", "BACKEND", false],
  ["28P01", "BACKEND", false],
  ["3D000", "BACKEND", false],
  ["3F000", "BACKEND", false],
  ["42501", "BACKEND", false],
  ["42703", "BACKEND", false],
  ["42P01", "BACKEND", false],
  ["42P05", "BACKEND", false],
  ["42883", "BACKEND", false],
  ["22021", "BACKEND", false],
  ["XX000", "BACKEND", false],
] as const)("SQLSTATE %s is %s", (state, code, outcomeUnknown) => {
  const error = classify(server(state), { operation: "touch", sent: true });
  expect(error).toMatchObject({ code, outcomeUnknown });
  expect(error.message).toMatch(/^@sojourn\/postgres: touch: /);
  expect(error.cause).toMatchObject({ code: state });
  expect(classify(server(state), { operation: "touch", sent: false })).toMatchObject({ code, outcomeUnknown: false });
});

test.each([
  [socket("ECONNREFUSED"), "UNAVAILABLE"],
  [socket("ECONNRESET"), "UNAVAILABLE"],
  [socket("ENOTFOUND"), "UNAVAILABLE"],
  [socket("EPIPE"), "UNAVAILABLE"],
  [socket("ETIMEDOUT"), "UNAVAILABLE"],
  [Object.assign(new AggregateError([socket("ECONNREFUSED")]), { code: "ECONNREFUSED" }), "UNAVAILABLE"],
  [new Error("Connection terminated unexpectedly"), "UNAVAILABLE"],
  [new Error("Connection terminated due to connection timeout"), "UNAVAILABLE"],
  [new Error("timeout exceeded when trying to connect"), "UNAVAILABLE"],
  [new Error("Client has encountered a connection error and is not queryable"), "UNAVAILABLE"],
  [new Error("Query read timeout"), "TIMEOUT"],
  [new Error("something else"), "BACKEND"],
  ["not an error", "BACKEND"],
  [undefined, "BACKEND"],
] as const)("%s is %s, and its outcome unknown once it was sent", (error, code) => {
  expect(classify(error, { operation: "create", sent: true })).toMatchObject({ code, outcomeUnknown: true });
  expect(classify(error, { operation: "create", sent: false })).toMatchObject({ code, outcomeUnknown: false });
});

test("a pool that has been ended is CLOSED", () => {
  expect(
    classify(new Error("Cannot use a pool after calling end on the pool"), { operation: "get", sent: false }).code,
  ).toBe("CLOSED");
});

test("the error of a missing table names ensureSchema()", () => {
  for (const state of ["42P01", "42883", "3F000"])
    expect(classify(server(state), { operation: "get", sent: true }).message).toContain("ensureSchema()");
});

test.each([
  [socket("SELF_SIGNED_CERT_IN_CHAIN"), "certificate is refused (SELF_SIGNED_CERT_IN_CHAIN)"],
  [socket("DEPTH_ZERO_SELF_SIGNED_CERT"), "certificate is refused"],
  [socket("ERR_TLS_CERT_ALTNAME_INVALID"), "certificate is refused"],
  [socket("CERT_HAS_EXPIRED"), "certificate is refused"],
  [socket("UNABLE_TO_VERIFY_LEAF_SIGNATURE"), "certificate is refused"],
  [new Error("The server does not support SSL connections"), "does not offer TLS"],
])("%s is BACKEND, which no retry cures", (error, words) => {
  const ours = classify(error, { operation: "get", sent: false });
  expect(ours).toMatchObject({ code: "BACKEND", retryable: false, cause: error });
  expect(ours.message).toContain(words);
});

test("a missing right is named in the server's words", () => {
  const error = Object.assign(server("42501"), { message: "permission denied for table sessions" });
  expect(classify(error, { operation: "get", sent: true }).message).toContain("permission denied for table sessions");
});

test("a connection that cannot serve the next statement is given up", () => {
  for (const state of ["08006", "25006", "25P02", "26000", "57P01"]) {
    expect(leavesConnectionIntact(server(state)), state).toBe(false);
  }
  for (const state of ["23505", "40P01", "42P01", "57014"]) {
    expect(leavesConnectionIntact(server(state)), state).toBe(true);
  }
  expect(leavesConnectionIntact(socket("ECONNRESET"))).toBe(false);
});

test("only a statement that was rolled back is repeated", () => {
  for (const state of ["40P01", "40001", "23505", "SJ001", "26000", "42P05", "57P05"])
    expect(isWorthRepeating(server(state)), state).toBe(true);
  for (const state of ["57014", "57P01", "08006", "25006"]) expect(isWorthRepeating(server(state)), state).toBe(false);
  expect(isWorthRepeating(socket("ECONNRESET"))).toBe(false);
  expect(isWrongIsolation(server("40P01"))).toBe(false);
});
