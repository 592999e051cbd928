import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { TieredStore } from "@sojourn/tiered";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { simulate, type Variant, type Violation, violations } from "./simulation.js";

/** A rule, taken out of the sources, and the violation that the simulation must then find. */
interface Mutant {
  readonly rule: string;
  readonly file: "copies.ts" | "store.ts" | "announce-writes.ts";
  readonly from: string;
  readonly to: string;
  readonly finds: Violation;
  readonly variant?: Partial<Variant>;
}

const cancel = "for (const fill of this.#fills.get(id) ?? []) fill.isCancelled = true;";
const unseen = { loss: 0.3 };

const mutants: readonly Mutant[] = [
  {
    rule: "1 a message cancels the requests under way",
    ...{ file: "copies.ts", from: cancel, to: "", finds: "told" },
  },
  {
    rule: "1 an own end cancels the requests under way",
    ...{ file: "copies.ts", from: cancel, to: "", finds: "own", variant: { slow: 0.3 } },
  },
  {
    rule: "2 an own write is registered before it is sent",
    ...{ file: "store.ts", from: "this.#copies.answered(fill, record);\n  }", finds: "told" },
    to: "const late = this.#copies.begin(record.id); this.#copies.answered(late, record); this.#copies.end(late); }",
  },
  {
    rule: "3 the message follows the write",
    ...{ file: "announce-writes.ts", finds: "settled", variant: { announcer: "caller" } },
    from: "const ended = await tell.unknown([id], inner.destroy(id, call));\n      if (ended !== undefined) tell.ended([id]);",
    to: "tell.ended([id]); const ended = await inner.destroy(id, call);",
  },
  {
    rule: "4 no read joins a read from before a message",
    ...{ file: "copies.ts", finds: "told" },
    from: `${cancel}\n    this.#joinable.delete(id);`,
    to: cancel,
  },
  {
    rule: "5 an own end drops the copy after its answer",
    ...{ file: "store.ts", finds: "own" },
    from: "throw error;\n    } finally {\n      this.#copies.drop(id);\n    }",
    to: "throw error; }",
  },
  {
    rule: "6 age counts from the sending",
    ...{ file: "copies.ts", finds: "stale", variant: unseen },
    from: "sentAt: fill.sentAt, answeredAt",
    to: "sentAt: this.#clock.now(), answeredAt",
  },
  {
    rule: "7 no read joins a read that is too old",
    ...{ file: "copies.ts", finds: "stale", variant: { loss: 0.5, slow: 0.4 } },
    from: "fill === undefined || this.#clock.now() - fill.sentAt >= this.#maxStaleMs",
    to: "fill === undefined",
  },
  {
    rule: "8 an answer drops a copy of another state",
    ...{ file: "copies.ts", finds: "backwards" },
    from: "if (copy !== undefined && differs(copy.record, state)) this.#copies.delete(id);",
    to: "",
  },
  {
    rule: "8 an answer refuses those of another state under way",
    ...{ file: "copies.ts", finds: "backwards" },
    from: "if (fill === by) continue;",
    to: "continue;",
  },
  {
    rule: "8 no read joins a read from before an answer",
    ...{ file: "copies.ts", finds: "backwards", variant: { slow: 0.3 } },
    from: "if (this.#joinable.get(id) !== by) this.#joinable.delete(id);",
    to: "",
  },
  {
    rule: "9 copies are off while the bus is down",
    ...{ file: "copies.ts", finds: "down", from: "if (!this.#isOn || fill.isCancelled", to: "if (fill.isCancelled" },
  },
  {
    rule: "9 no read joins another while the bus is down",
    ...{
      file: "copies.ts",
      finds: "down",
      variant: { slow: 0.3 },
      from: "if (!this.#isOn || this.#barredIds",
      to: "if (this.#barredIds",
    },
  },
  {
    rule: "9 copies and requests are dropped when the bus is up",
    ...{ file: "copies.ts", finds: "returned" },
    from: "this.#isOn = on;\n    this.flush();",
    to: "this.#isOn = on; if (!on) this.#copies.clear();",
  },
  {
    rule: "10 copies are dropped at a gap",
    ...{ file: "store.ts", finds: "returned", variant: { loss: 0.3, tellsGaps: true } },
    from: "this.#gaps++;\n      this.#copies.flush();",
    to: "this.#gaps++;",
  },
  {
    rule: "11 a write of unknown outcome bars copies",
    ...{ file: "copies.ts", finds: "unknown", variant: { announcer: "caller" } },
    from: "this.#until.set(name, this.#clock.now() + this.#ms);",
    to: "",
  },
];

/** Any, so that no fault depends on luck. `SOJOURN_SEED` repeats a run. */
const seed = Number(process.env.SOJOURN_SEED ?? randomInt(2 ** 31));

test.each(mutants)(
  `without rule $rule, the simulation finds a state that was followed (seed ${seed})`,
  async (mutant) => {
    const { finds, variant = {} } = mutant;
    const Store = await mutated(mutant);
    const { schedules, found } = await simulate({ Store, seed, schedules: 8_000, variant, until: finds });
    expect(found[finds], `${violations[finds]}, in ${schedules} schedules`).toBeGreaterThan(0);
  },
);

test(`rule 12, reads from the primary: a replica that lags is found (seed ${seed})`, async () => {
  const { TieredStore } = await import("@sojourn/tiered");
  const variant = { replicaLagMs: 60 };
  const { found } = await simulate({ Store: TieredStore, seed, schedules: 1_000, variant, until: "own" });
  expect(found.own).toBeGreaterThan(0);
});

/** Returns the class, built from sources in which one text is replaced. */
async function mutated({ file, from, to }: Mutant): Promise<typeof TieredStore> {
  const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  let replaced = 0;
  const { outputFiles } = await build({
    entryPoints: [source("../src/index.ts")],
    alias: { "@sojourn/core/adapter": source("../../../core/src/adapter/index.ts") },
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    plugins: [
      {
        name: "mutant",
        setup({ onLoad }) {
          onLoad({ filter: new RegExp(`/${file.replace(".", "\\.")}$`) }, async ({ path }) => {
            const parts = (await readFile(path, "utf8")).split(from);
            replaced += parts.length - 1;
            return { contents: parts.join(to), loader: "ts" };
          });
        },
      },
    ],
  });
  expect(replaced, `${file} has this text once`).toBe(1);
  const text = Buffer.from(outputFiles[0]?.contents ?? "").toString("base64");
  // The bundle has the exports of the package.
  const module = (await import(/* @vite-ignore */ `data:text/javascript;base64,${text}`)) as {
    TieredStore: typeof TieredStore;
  };
  return module.TieredStore;
}
