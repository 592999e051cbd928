/** Results as Markdown. */
import { goals, nameOf } from "../goals.mjs";
import { compare, median } from "../lib/statistics.mjs";
import { judge, valuesOf } from "./judge.mjs";

const operationsInOrder = ["create", "get", "update", "touch", "request", "requestWriting", "destroy"];
const measures = {
  opsPerSecond: "operations/s",
  p50Us: "p50, µs",
  p99Us: "p99, µs",
  clientCpuUs: "CPU of the caller, µs",
  serverCpuUs: "CPU of the server, µs",
  roundTrips: "round trips",
  bytes: "bytes",
  ms: "ms",
  msBeside: "at 10,000, ms",
  moreMiB: "MiB more, at most",
  bytesPerSession: "bytes a session",
  residentBytesPerSession: "resident bytes a session",
  getNs: "get, ns",
  getNsBeside: "get at 10,000, ns",
  touchNs: "touch, ns",
  touchNsBeside: "touch at 10,000, ns",
  listUs: "list by user, µs",
  listUsBeside: "list by user at 10,000, µs",
  expired: "expired",
  sweepMs: "sweep, ms",
  longestPauseMs: "longest pause, ms",
  longestPauseAtRestMs: "longest pause at rest, ms",
  swept: "swept",
  fails: "fails",
};

/** @param {ReadonlyMap<string, object>} results */
export function goalsTable(results) {
  const rows = goals.map((goal) => {
    const { atLeast, atMost } = goal;
    const verdict = judge(goal, results);
    const bound = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
    const about = nameOf(goal);
    if (verdict === undefined) return [about, bound, "not measured", "", ""];
    const { median: middle, lowest, highest, isMet } = verdict;
    return [
      about,
      bound,
      `**${short(middle)}**`,
      `${short(lowest)} to ${short(highest)}`,
      isMet ? "met" : "**not met**",
    ];
  });
  return table(["what", "goal", "median", "spread", ""], rows);
}

/** Everything that was measured in one suite. */
export function suiteTables(result) {
  const isOfStores = result.rows.some(({ operation }) => operation === "get") && result.reference !== undefined;
  const parts = [`Measured: ${result.setting}. Versions: ${versions(result)}.`];
  if (isOfStores) parts.push(...ratioTables(result), trafficTable(result), details(result));
  else if (result.reference !== undefined) parts.push(appTable(result));
  else parts.push(...scaleTables(result));
  return parts.filter((part) => part !== "").join("\n\n");
}

function ratioTables(result) {
  const cells = distinct(
    result.rows
      .filter(({ counted }) => !counted)
      .map(({ payloadBytes, concurrency }) => ({ payloadBytes, concurrency })),
  );
  return cells.map(({ payloadBytes, concurrency }) => {
    const ratio = (subject, operation) => {
      const row = { suite: result.suite, payloadBytes, concurrency };
      // A peer writes at each request in any case.
      const ofReference = operation === "requestWriting" ? "request" : operation;
      return ratioOf(
        result,
        { ...row, subject, operation },
        { ...row, subject: result.reference, operation: ofReference },
      );
    };
    const operations = operationsInOrder.filter((operation) =>
      result.rows.some(
        (row) => row.operation === operation && row.payloadBytes === payloadBytes && row.concurrency === concurrency,
      ),
    );
    const rows = Object.keys(result.levels).map((subject) => [
      named(subject, result.levels[subject]),
      ...operations.map((operation) => ratio(subject, operation)),
    ]);
    const callers = concurrency === 1 ? "1 caller" : `${concurrency} callers`;
    const title = `${payloadBytes.toLocaleString("en")} bytes, ${callers}: operations per second, as a multiple of ${result.reference}`;
    return `${title}\n\n${table(["", ...operations.map(operationTitle)], rows)}`;
  });
}

function ratioOf(result, of, to) {
  const results = new Map([[result.suite, result]]);
  const values = valuesOf(results, of, "opsPerSecond");
  // An operation that the reference lacks, such as a touch, cannot be compared.
  const references = valuesOf(results, to, "opsPerSecond");
  if (values === undefined) return "–";
  return references === undefined ? "not in the peer" : short(compare(values, references).median);
}

function trafficTable(result) {
  const counted = result.rows.filter((row) => row.counted);
  if (counted.length === 0) return "";
  const operations = operationsInOrder.filter((operation) => counted.some((row) => row.operation === operation));
  const rows = Object.keys(result.levels).map((subject) => [
    named(subject, result.levels[subject]),
    ...operations.map((operation) => {
      const run = counted.find((row) => row.subject === subject && row.operation === operation)?.runs[0];
      return run === undefined ? "–" : `${short(run.roundTrips)} · ${Math.round(run.bytes).toLocaleString("en")}`;
    }),
  ]);
  return `Round trips and bytes of one operation, 1 KB, counted on the wire\n\n${table(["", ...operations.map(operationTitle)], rows)}`;
}

function details(result) {
  const columns = ["opsPerSecond", "p50Us", "p99Us", "clientCpuUs", "serverCpuUs"];
  const timed = result.rows.filter(({ counted }) => !counted);
  const keyed = timed.toSorted(
    (a, b) => a.payloadBytes - b.payloadBytes || a.concurrency - b.concurrency || order(a) - order(b),
  );
  const rows = keyed.map((row) => [
    `${row.payloadBytes} B, ${row.concurrency}`,
    operationTitle(row.operation),
    row.subject,
    ...columns.map((measure) => middle(row, measure)),
  ]);
  const body = table(["bytes, callers", "operation", "subject", ...columns.map((name) => measures[name])], rows);
  return `<details><summary>Every figure</summary>\n\n${body}\n\n</details>`;
}

function appTable(result) {
  const columns = ["opsPerSecond", "p50Us", "p99Us", "clientCpuUs", "serverCpuUs"];
  const reference = result.rows.find(({ subject }) => subject === result.reference);
  const speed = (row) => median(row.runs.map((run) => run.opsPerSecond));
  const rows = result.rows
    .toSorted((a, b) => speed(b) - speed(a))
    .map((row) => {
      const ratio = compare(
        row.runs.map((run) => run.opsPerSecond),
        reference.runs.map((run) => run.opsPerSecond),
      );
      const range = `${short(ratio.lowest)} to ${short(ratio.highest)}`;
      return [
        named(row.subject, result.levels[row.subject]),
        `**${short(ratio.median)}**`,
        range,
        ...columns.map((name) => middle(row, name)),
      ];
    });
  const titles = ["requests/s", "p50, µs", "p99, µs", "CPU of the app, µs", "CPU of the backend, µs"];
  return table(["", `÷ ${result.reference}`, "spread", ...titles], rows);
}

function scaleTables(result) {
  const operations = [...new Set(result.rows.map(({ operation }) => operation))];
  return operations.map((operation) => {
    const rows = result.rows
      .filter((row) => row.operation === operation)
      .toSorted((a, b) => a.sessions - b.sessions || a.subject.localeCompare(b.subject));
    const columns = [...new Set(rows.flatMap(({ runs }) => runs.flatMap((run) => Object.keys(run))))];
    const body = rows.map((row) => [
      row.sessions.toLocaleString("en"),
      named(row.subject, result.levels[row.subject]),
      ...columns.map((measure) => middle(row, measure)),
    ]);
    return `${operationTitle(operation)}\n\n${table(["sessions", "", ...columns.map((name) => measures[name])], body)}`;
  });
}

function middle({ runs }, measure) {
  const values = runs.map((run) => run[measure]).filter((value) => Number.isFinite(value));
  return values.length === 0 ? "–" : short(median(values));
}

/** Three digits. */
function short(value) {
  const rounded = Number(value.toPrecision(3));
  return rounded.toLocaleString("en", { maximumFractionDigits: 10 });
}

function named(subject, level) {
  return ["store", "manager", "ours"].includes(level) ? `**${subject}**` : subject;
}

function operationTitle(operation) {
  return (
    { request: "read and keep alive", requestWriting: "the same, each writing", hold: "Held in memory" }[operation] ??
    operation
  );
}

function order({ operation }) {
  return operationsInOrder.indexOf(operation);
}

function versions({ versions: installed }) {
  return Object.entries(installed)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ");
}

function distinct(keys) {
  return [...new Map(keys.map((key) => [JSON.stringify(key), key])).values()];
}

function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
