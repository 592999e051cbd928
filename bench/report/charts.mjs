/** Results as SVG. */
import * as echarts from "echarts";
import { compare } from "../lib/statistics.mjs";
import { valuesOf } from "./judge.mjs";

/** By level; where several subjects stand side by side, each of a level has a shade of its own. */
const colours = {
  driver: ["#9aa5b1", "#6b7785", "#cdd3da"],
  peer: ["#e0a458", "#b36b1c", "#f0cf9f"],
  store: ["#7fb3d5", "#b9d7ea"],
  manager: ["#1f6fb2", "#123f66"],
  ours: ["#1f6fb2"],
};
const payloadBytes = 1_024;
const concurrency = 64;

/** Operations per second of each subject as a multiple of the suite's reference: 64 callers, 1 KB. */
export function storeChart(result) {
  const operations = ["get", "update", "touch", "request"];
  const key = { suite: result.suite, payloadBytes, concurrency };
  const results = new Map([[result.suite, result]]);
  const ratio = (subject, operation) =>
    ratioIn(results, { ...key, subject, operation }, { ...key, subject: result.reference, operation });
  // A subject without work would leave the others no height.
  const subjects = Object.keys(result.levels).filter((subject) => subject !== "a call that does nothing");
  const legend = legendOf(subjects);
  return render({
    width: 900,
    height: 400,
    title: `${result.title}: operations per second ÷ ${result.reference} (64 callers, 1 KB)`,
    grid: { left: 50, right: 20, top: 60 + 20 * legend.length, bottom: 30 },
    legend,
    xAxis: { type: "category", data: ["get", "update", "touch", "read and keep alive"] },
    yAxis: { type: "value" },
    series: subjects.map((subject) => ({
      type: "bar",
      name: subject,
      barGap: "8%",
      data: operations.map((operation) => ratio(subject, operation) ?? "-"),
      itemStyle: { color: shadeOf(subject, result.levels) },
      label: {
        show: true,
        position: "top",
        fontSize: 9,
        formatter: ({ value }) => (value === "-" ? "" : short(value)),
      },
    })),
  });
}

/** Rows of four. Without a canvas the widths of texts are guessed, and guessed too small: the gap makes up for it. */
function legendOf(subjects) {
  const rows = Array.from({ length: Math.ceil(subjects.length / 4) }, (_, row) => subjects.slice(4 * row, 4 * row + 4));
  const look = { itemHeight: 10, itemWidth: 14, itemGap: 36, textStyle: { fontSize: 11 } };
  return rows.map((data, row) => ({ ...look, data, left: 40, top: 34 + 20 * row }));
}

function shadeOf(subject, levels) {
  const level = levels[subject];
  const peers = Object.keys(levels).filter((name) => levels[name] === level);
  return colours[level][peers.indexOf(subject) % colours[level].length];
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

/**
 * Sojourn on each backend, in one picture: by itself, in Express and in Fastify, always with its defaults, against the peer that
 * does the same job there; where both take the same drivers, through each of these.
 */
export function headlineChart(results) {
  const backends = [
    ["redis", "Redis", "connect-redis, node-redis 5", ", node-redis 5"],
    ["redis", "Redis", "connect-redis, node-redis 6", ", node-redis 6"],
    ["postgres", "PostgreSQL", "connect-pg-simple", ""],
    ["mysql", "MySQL", "express-mysql-session", ""],
    ["memcached", "Memcached", "connect-memjs", ""],
    ["memory", "Memory", "memorystore", ""],
  ];
  const row = { operation: "request", payloadBytes, concurrency };
  const bars = [];
  for (const [name, title, peer, driver] of backends) {
    const inFastify = `@fastify/session, ${peer}`;
    const pairs = [
      [`read and keep alive ÷ ${peer}`, name, `Sojourn manager${driver}`, peer],
      [`Express ÷ ${peer}`, "express", `Sojourn, ${name}${driver}`, peer],
      [`Fastify ÷ ${inFastify}`, "fastify", `Sojourn, ${name}${driver}`, inFastify],
    ];
    for (const [what, suite, subject, reference] of pairs) {
      const ratio = ratioIn(results, { ...row, suite, subject }, { ...row, suite, subject: reference });
      if (ratio !== undefined) bars.push({ label: `${title}: ${what}`, ratio, level: "ours" });
    }
  }
  const title = "Operations or requests per second ÷ those of the peer on the same backend (1 KB, 64 callers)";
  return horizontal(title, bars.reverse());
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
        data: bars.map(({ ratio, level }) => ({ value: ratio, itemStyle: { color: colours[level][0] } })),
        // The line at 1 runs behind some of the figures.
        label: {
          show: true,
          position: "right",
          formatter: ({ value }) => short(value),
          backgroundColor: "#ffffff",
          padding: 1,
        },
        markLine: {
          z: 1,
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
