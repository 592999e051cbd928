import { readFile } from "node:fs/promises";
import { SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { conformanceCases } from "@sojourn/testkit";
import ts from "typescript";
import { expect, test } from "vitest";
import { root } from "./support.js";

const states = ["proven", "left to the application", "not applicable"] as const;

interface Row {
  readonly id: string;
  readonly state: string;
  /** The text of the last column. */
  readonly by: string;
  readonly proofs: readonly { readonly title: string; readonly file: string }[];
}

const page = await readFile(`${root}/docs/security.md`, "utf8");
const rows = page.split("\n").flatMap((line): Row[] => {
  const [, id, , , state = "", by = ""] = line.split("|").map((cell) => cell.trim());
  if (id === undefined || !/^S\d+$/.test(id)) return [];
  const proofs = [...by.matchAll(/\[`([^`]+)`\]\(\.\.\/([^)]+)\)/g)].map(([, title = "", file = ""]) => ({
    title,
    file,
  }));
  return [{ id, state, by, proofs }];
});

test("lists each requirement once, in order, and counts their states", () => {
  expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 61 }, (_, n) => `S${n + 1}`));
  const counts = states.map((state) => `${rows.filter((row) => row.state === state).length} ${state}`);
  expect(page).toContain(`**${counts.join(", ")}**, of 61.`);
});

test("names a test for each proven row, a call for each row left to the application, and a reason for the rest", () => {
  const lacking = rows.filter(({ state, by, proofs }) => {
    if (state === "proven") return proofs.length === 0;
    const said = by.replaceAll(/\[[^\]]*\]\([^)]*\)/g, "");
    return state === "left to the application"
      ? !/`\w+\(/.test(said) && !/`session\.\w+`/.test(said)
      : said.length < 20;
  });
  expect(lacking).toEqual([]);
});

test("every test that it names exists, and runs", async () => {
  const titles = new Map<string, ReadonlySet<string>>();
  const missing: string[] = [];
  for (const { id, proofs } of rows) {
    for (const { title, file } of proofs) {
      if (!titles.has(file)) titles.set(file, titlesOf(file, await readFile(`${root}/${file}`, "utf8")));
      if (!titles.get(file)?.has(title)) missing.push(`${id}: ${file}: ${title}`);
    }
  }
  expect(missing).toEqual([]);
});

test("the policy on the page is the default policy of a manager", async () => {
  const manager = new SessionManager({ store: new MemoryStore(), sweep: false });
  const created = await Promise.all(Array.from({ length: 50 }, () => manager.create({ userId: "42", data: {} })));
  const { session, token } = created[0] ?? expect.fail();
  const policy = {
    "idle timeout": `${(session.expiresAt - session.createdAt) / 60_000} minutes`,
    "absolute timeout": `${(session.endsAt - session.createdAt) / 3_600_000} hours`,
    "sessions of one user": (await manager.listByUser("42")).length === 50 ? "no limit" : "a limit",
    "size of a session": await manager.create({ data: { text: "x".repeat(2 ** 20) } }).then(
      () => "more",
      () => "1 MiB",
    ),
    "the old token after a regeneration":
      (await manager.regenerate(token)) && (await manager.get(token)) === undefined ? "dead at once" : "alive",
  };
  await manager.create({ data: { text: "x".repeat(2 ** 20 - 100) } });
  for (const [name, value] of Object.entries(policy)) expect(page).toContain(`| ${name} | ${value} |`);
});

/**
 * Returns the tests of a file that are not skipped, each with its describes, joined by " › "; or its conformance cases.
 */
function titlesOf(file: string, source: string): ReadonlySet<string> {
  if (file.startsWith("packages/testkit/src/cases/")) return new Set(conformanceCases.map(({ id }) => id));
  const titles = new Set<string>();
  const visit = (node: ts.Node, path: readonly string[]): void => {
    const call = ts.isCallExpression(node) ? declaredBy(node) : undefined;
    if (call?.isSkipped) return;
    const own = call === undefined ? path : [...path, call.title];
    if (call?.isTest) titles.add(own.join(" › "));
    else node.forEachChild((child) => visit(child, own));
  };
  visit(ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true), []);
  return titles;
}

/** Returns the test or group that `test("…")`, `test.each(…)("…")`, `it("…")` or `describe("…")` declares. */
function declaredBy({ expression, arguments: [first] }: ts.CallExpression) {
  if (first === undefined || !ts.isStringLiteralLike(first)) return undefined;
  const words = expression.getText().match(/^(test|it|describe)\b((?:\.\w+)*)/);
  if (words === null) return undefined;
  return {
    title: first.text,
    isTest: words[1] !== "describe",
    isSkipped: /\.(skip|todo|fails)/.test(words[2] ?? ""),
  };
}
