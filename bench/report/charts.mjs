/** Results as SVG. */
import * as echarts from "echarts";
import { compare } from "../lib/statistics.mjs";
import { valuesOf } from "./judge.mjs";

const colours = { driver: "#9aa5b1", peer: "#e0a458", store: "#7fb3d5", manager: "#1f6fb2", ours: "#1f6fb2" };
const payloadBytes = 1_024;
const concurrency = 64;

/** Operations per second of each subject as a multiple of the suite's reference: 64 callers, 1 KB. */
export function storeChart(result) {
  const operations = ["get", "update", "touch", "request"];
  const key = { suite: result.suite, payloadBytes, concurrency };
  const results = new Map([[result.suite, result]]);
  const ratio = (subject, operation) =>
    ratioIn(results, { ...key, subject, operation }, { ...key, subject: result.reference, operation });
  return render({
    width: 900,
    height: 380,
    title: `${result.title}: operations per second ÷ ${result.reference} (64 callers, 1 KB)`,
    grid: { left: 50, right: 20, top: 90, bottom: 30 },
    // Without a canvas the widths of texts are guessed, and guessed too small.
    legend: { top: 34, itemHeight: 10, itemWidth: 14, itemGap: 36, textStyle: { fontSize: 11 } },
    xAxis: { type: "category", data: ["get", "update", "touch", "read and keep alive"] },
    yAxis: { type: "value" },
    series: Object.entries(result.levels).map(([subject, level], index) => ({
      type: "bar",
      name: subject,
      barGap: "8%",
      data: operations.map((operation) => ratio(subject, operation) ?? "-"),
      itemStyle: { color: colours[level], opacity: 1 - 0.12 * (index % 3) },
      label: {
        show: true,
        position: "top",
        fontSize: 9,
        formatter: ({ value }) => (value === "-" ? "" : short(value)),
      },
    })),
  });
}

/** Requests per second of each application as a multiple of the suite's reference. */
export function appChart(result) {
  const key = { suite: result.suite, operation: "request", payloadBytes, concurrency };
  const results = new Map([[result.suite, result]]);
  const bars = Object.keys(result.levels)
    .map((subject) => ({
      subject,
      ratio: ratioIn(results, { ...key, subject }, { ...key, subject: result.reference }),
    }))
    .filter(({ ratio }) => ratio !== undefined)
    .sort((a, b) => a.ratio - b.ratio)
    .map(({ subject, ratio }) => ({ label: subject, ratio, level: result.levels[subject] }));
  return horizontal(`${result.title}: requests per second ÷ ${result.reference}`, bars);
}

/** What Sojourn makes of the same backend, in one picture: each bar against the peer that it names. */
export function headlineChart(results) {
  const stores = { redis: "Redis", postgres: "PostgreSQL", mysql: "MySQL" };
  const bars = Object.entries(stores).map(([suite, title]) => {
    const peer = results.get(suite)?.reference;
    const key = { suite, operation: "request", payloadBytes, concurrency };
    return bar(
      `${title}: read and keep alive ÷ ${peer}`,
      { ...key, subject: "Sojourn manager" },
      { ...key, subject: peer },
    );
  });
  const app = { operation: "request", payloadBytes, concurrency };
  const pairs = [
    ["express", "Sojourn, postgres", "connect-pg-simple", "Express on PostgreSQL: requests ÷ connect-pg-simple"],
    [
      "fastify",
      "Sojourn, redis",
      "@fastify/session, connect-redis, node-redis 5",
      "Fastify on Redis: requests ÷ @fastify/session",
    ],
    [
      "fastify",
      "Sojourn, postgres",
      "@fastify/session, connect-pg-simple",
      "Fastify on PostgreSQL: requests ÷ @fastify/session",
    ],
  ];
  for (const [suite, subject, peer, label] of pairs) {
    bars.push(bar(label, { ...app, suite, subject }, { ...app, suite, subject: peer }));
  }
  const measured = bars.filter(({ ratio }) => ratio !== undefined);
  return horizontal("How many times as much as the peer, on the same backend (1 = the peer)", measured.reverse());

  function bar(label, of, to) {
    return { label, ratio: ratioIn(results, of, to), level: "ours" };
  }
}

function horizontal(title, bars) {
  return render({
    width: 900,
    height: 70 + 26 * bars.length,
    title,
    grid: { left: 370, right: 60, top: 44, bottom: 24 },
    xAxis: { type: "value" },
    yAxis: { type: "category", data: bars.map(({ label }) => label), axisLabel: { fontSize: 11 } },
    series: [
      {
        type: "bar",
        data: bars.map(({ ratio, level }) => ({ value: ratio, itemStyle: { color: colours[level] } })),
        label: { show: true, position: "right", formatter: ({ value }) => short(value) },
        markLine: {
          silent: true,
          symbol: "none",
          label: { show: false },
          lineStyle: { color: "#555" },
          data: [{ xAxis: 1 }],
        },
      },
    ],
  });
}

function render({ width, height, title, ...option }) {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: { fontFamily: "sans-serif" },
    title: { text: title, left: 12, top: 8, textStyle: { fontSize: 14, fontWeight: "bold" } },
    ...option,
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function ratioIn(results, of, to) {
  const values = valuesOf(results, of, "opsPerSecond");
  const references = valuesOf(results, to, "opsPerSecond");
  return values && references && compare(values, references).median;
}

function short(value) {
  return String(Number(value.toPrecision(2)));
}
