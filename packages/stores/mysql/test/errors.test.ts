import type { SessionErrorCode } from "@sojourn/core";
import { expect, test } from "vitest";
import { classify, isWorthRepeating } from "../src/errors.js";

const answered = (errno: number): Error => Object.assign(new Error("secret"), { errno, code: `ER_${errno}` });
const coded = (code: string): Error => Object.assign(new Error("secret"), { code, errno: -111, fatal: true });
const handshake = (message: string): Error => Object.assign(new Error(message), { code: "HANDSHAKE_SSL_ERROR" });

/** `unknown`: a write that met this error may have been applied. */
const table: readonly [name: string, error: unknown, code: SessionErrorCode, unknown: boolean][] = [
  ["ER_CON_COUNT_ERROR", answered(1040), "UNAVAILABLE", false],
  ["ER_TOO_MANY_USER_CONNECTIONS", answered(1203), "UNAVAILABLE", false],
  ["ER_USER_LIMIT_REACHED", answered(1226), "UNAVAILABLE", false],
  ["ER_UNKNOWN_COM_ERROR, a Galera node that joins", answered(1047), "UNAVAILABLE", false],
  ["ER_LOCK_WAIT_TIMEOUT", answered(1205), "UNAVAILABLE", false],
  ["ER_LOCK_DEADLOCK", answered(1213), "UNAVAILABLE", false],
  ["ER_AUTOINC_READ_FAILED", answered(1467), "UNAVAILABLE", false],
  ["ER_SERVER_SHUTDOWN", answered(1053), "UNAVAILABLE", true],
  ["ER_CONNECTION_KILLED of MariaDB", answered(1927), "UNAVAILABLE", true],
  ["ER_CLIENT_INTERACTION_TIMEOUT", answered(4031), "UNAVAILABLE", true],
  ["ER_QUERY_INTERRUPTED", answered(1317), "UNAVAILABLE", true],
  ["max_statement_time of MariaDB", answered(1969), "UNAVAILABLE", true],
  ["max_execution_time of MySQL", answered(3024), "UNAVAILABLE", true],
  ["ER_ACCESS_DENIED_ERROR", answered(1045), "BACKEND", false],
  ["ER_DBACCESS_DENIED_ERROR", answered(1044), "BACKEND", false],
  ["ER_PROCACCESS_DENIED_ERROR", answered(1370), "BACKEND", false],
  ["ER_OPTION_PREVENTS_STATEMENT, read-only", answered(1290), "UNAVAILABLE", false],
  ["ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION", answered(1792), "UNAVAILABLE", false],
  ["ER_READ_ONLY_MODE", answered(1836), "UNAVAILABLE", false],
  ["ER_SECURE_TRANSPORT_REQUIRED", answered(3159), "BACKEND", false],
  ["ER_CHECKREAD, snapshot isolation of MariaDB", answered(1020), "UNAVAILABLE", false],
  ["a write conflict of TiDB", answered(9007), "UNAVAILABLE", false],
  ["a certificate that is refused", handshake("self-signed certificate"), "BACKEND", false],
  ["a certificate of another host", handshake("Hostname/IP does not match certificate's altnames"), "BACKEND", false],
  [
    "a connection lost while TLS begins",
    handshake("Client network socket disconnected before secure TLS connection was established"),
    "UNAVAILABLE",
    false,
  ],
  ["a server without TLS", coded("HANDSHAKE_NO_SSL_SUPPORT"), "BACKEND", false],
  ["ER_NO_DB_ERROR", answered(1046), "BACKEND", false],
  ["ER_BAD_DB_ERROR", answered(1049), "BACKEND", false],
  ["ER_NO_SUCH_TABLE", answered(1146), "BACKEND", false],
  ["ER_SP_DOES_NOT_EXIST", answered(1305), "BACKEND", false],
  ["ER_BAD_FIELD_ERROR", answered(1054), "BACKEND", false],
  ["ER_BINLOG_STMT_MODE_AND_ROW_ENGINE", answered(1665), "BACKEND", false],
  ["an unknown errno", answered(9999), "BACKEND", false],
  ["ER_NET_PACKET_TOO_LARGE", answered(1153), "PAYLOAD_TOO_LARGE", false],
  ["ECONNREFUSED", coded("ECONNREFUSED"), "UNAVAILABLE", true],
  ["ECONNRESET", coded("ECONNRESET"), "UNAVAILABLE", true],
  ["EPIPE", coded("EPIPE"), "UNAVAILABLE", true],
  ["ETIMEDOUT", coded("ETIMEDOUT"), "UNAVAILABLE", true],
  ["ENOTFOUND", coded("ENOTFOUND"), "UNAVAILABLE", true],
  ["EAI_AGAIN", coded("EAI_AGAIN"), "UNAVAILABLE", true],
  ["ENOENT, a socket that is not there", coded("ENOENT"), "UNAVAILABLE", true],
  ["PROTOCOL_CONNECTION_LOST", coded("PROTOCOL_CONNECTION_LOST"), "UNAVAILABLE", true],
  ["PROTOCOL_SEQUENCE_TIMEOUT", coded("PROTOCOL_SEQUENCE_TIMEOUT"), "TIMEOUT", true],
  ["a closed connection", new Error("Can't add new command when connection is in closed state"), "UNAVAILABLE", true],
  ["a full queue", new Error("Queue limit reached."), "UNAVAILABLE", false],
  ["no free connection", new Error("No connections available."), "UNAVAILABLE", false],
  ["a closed pool", new Error("Pool is closed."), "CLOSED", false],
  ["anything else of the driver", new TypeError("secret"), "BACKEND", true],
  ["not even an error", "secret", "BACKEND", true],
];

test.each(table)("%s", (_, cause, code, unknown) => {
  const sent = classify(cause, { operation: "update", sent: true });
  expect(sent).toMatchObject({ code, outcomeUnknown: unknown, cause });
  expect(sent.message).toMatch(/^@sojourn\/mysql: update: /);
  expect(sent.message).not.toContain("secret");
  expect(classify(cause, { operation: "update", sent: false })).toMatchObject({ code, outcomeUnknown: false });
});

test("says what to do where something is missing", () => {
  expect(classify(answered(1146), { operation: "get", sent: false }).message).toContain("ensureSchema()");
  expect(classify(answered(1305), { operation: "get", sent: false }).message).toContain("ensureSchema()");
});

test("repeats deadlocks and lock waits, and nothing else", () => {
  const repeated = [1020, 1205, 1213, 1467, 9007];
  for (const errno of [...repeated, 1040, 1053, 1062, 1317, 1146]) {
    expect(isWorthRepeating(answered(errno))).toBe(repeated.includes(errno));
  }
  expect(isWorthRepeating(coded("ECONNRESET"))).toBe(false);
});
