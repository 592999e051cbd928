import { parseArgs } from "node:util";
import { backends } from "./backends.js";
import { describeViolation } from "./check/index.js";
import { runHistories } from "./run.js";

/** `pnpm history -- --backend redis --seconds 600 --seed 1` */
const { values } = parseArgs({
  // pnpm hands its own "--" on.
  args: process.argv.slice(2).filter((argument) => argument !== "--"),
  options: {
    backend: { type: "string", multiple: true },
    seconds: { type: "string", default: "60" },
    faults: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
});
const seed = Number(values.seed);
const faults = values.faults?.split(",");
const milliseconds = Number(values.seconds) * 1_000;

// The fixtures' supervisor does not keep this process alive.
const alive = setInterval(() => {}, 60_000);
for (const name of values.backend ?? Object.keys(backends)) {
  const start = backends[name];
  if (start === undefined)
    throw new Error(`--backend is one of ${Object.keys(backends).join(", ")}, received "${name}"`);
  const backend = await start();
  try {
    const rounds = (elapsedMs: number): boolean => elapsedMs < milliseconds;
    const figures = await runHistories(backend, { seed, rounds, roundMs: 5_000, settleMs: 1_500, faults });
    const { violations, kept, ...counts } = figures;
    const byRule: Record<string, number> = {};
    for (const violation of violations) {
      const seen = byRule[violation.rule] ?? 0;
      byRule[violation.rule] = seen + 1;
      // Three of a kind are enough to read.
      if (seen < 3) console.log(describeViolation(violation));
    }
    console.log(JSON.stringify({ backend: name, seed, ...counts, violations: byRule }));
    if (kept.length > 0) console.log(`The histories of these violations: ${kept.join(" ")}`);
    if (violations.length > 0) process.exitCode = 1;
  } finally {
    await backend.stop();
  }
}
clearInterval(alive);
