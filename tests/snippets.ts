import { readFile } from "node:fs/promises";
import { fromMarkdown } from "mdast-util-from-markdown";
import ts from "typescript";
import { root } from "./support.js";

/** A program shown in a document or in a TSDoc comment. */
export interface Snippet {
  /** `packages/core/README.md:12`. */
  readonly where: string;
  readonly language: "js" | "ts";
  readonly code: string;
  /** False for `no-run`: the program is compiled only. */
  readonly runs: boolean;
}

/**
 * Returns the programs of a Markdown file, or of the TSDoc comments of a source file.
 *
 * A fence says `ts`, `ts continued` for code that goes on from the fence before it, `ts no-run`, or `ts in-request` for code
 * that uses the `session` of a request. A fence `js` runs as it stands. A `ts continued` after it adds types: the two are
 * compiled as one program.
 */
export async function snippetsOf(file: string): Promise<Snippet[]> {
  const snippets: Snippet[] = [];
  const inRequest: string[] = [];
  const text = await readFile(`${root}/${file}`, "utf8");
  const { children } = fromMarkdown(file.endsWith(".ts") ? tsdocOf(file, text) : text);
  for (const { lang: language, meta, value: code, position } of children.filter((node) => node.type === "code")) {
    if (language !== "js" && language !== "ts") continue;
    if (meta === "in-request") inRequest.push(code);
    else {
      const snippet: Snippet = { where: `${file}:${position?.start.line}`, language, code, runs: meta !== "no-run" };
      if (meta === "continued") continueLast(snippets, snippet);
      else snippets.push(snippet);
    }
  }
  if (inRequest.length > 0) {
    snippets.push({ where: `${file} (in requests)`, language: "ts", code: inRequests(inRequest), runs: true });
  }
  return snippets;
}

function continueLast(snippets: Snippet[], { where, code }: Snippet): void {
  const last = snippets.pop();
  if (last === undefined) throw new Error(`${where} continues no example`);
  const both = `${last.code}\n\n${code}`;
  if (last.language === "ts") snippets.push({ ...last, code: both });
  else snippets.push(last, { where, language: "ts", code: both, runs: false });
}

/** Returns a program that runs each example in a request of its own. */
function inRequests(examples: readonly string[]): string {
  const routes = examples.map(
    (code, index) => `app.get("/${index}", async (request) => {
  const session = await sessionOf(request, manager);
  ${code}
  return { done: true };
});`,
  );
  return `
import { SessionManager } from "@sojourn/core";
import { sessionOf, fastifySessions } from "@sojourn/fastify";
import { MemoryStore } from "@sojourn/memory";
import fastify from "fastify";

const manager = new SessionManager<{ views: number; cart: string[]; flash: object }>({ store: new MemoryStore() });
const app = fastify();
await app.register(fastifySessions, { manager, secret: "at least thirty-two bytes of text" });
${routes.join("\n")}
for (let index = 0; index < ${routes.length}; index++) {
  const { statusCode, body } = await app.inject(\`/\${index}\`);
  if (statusCode !== 200) throw new Error(body);
}
await app.close();
await manager.close();`;
}

/** Returns the TSDoc comments of a source as Markdown. Each line keeps its number. */
function tsdocOf(file: string, source: string): string {
  const lines = new Map<number, string>();
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true);
  const visit = (node: ts.Node): void => {
    for (const comment of ts.getJSDocCommentsAndTags(node)) {
      if (!ts.isJSDoc(comment)) continue;
      const first = tree.getLineAndCharacterOfPosition(comment.getStart()).line;
      const text = comment.getText().slice("/**".length, -"*/".length);
      for (const [index, line] of text.split("\n").entries()) lines.set(first + index, line.replace(/^\s*\* ?/, ""));
    }
    node.forEachChild(visit);
  };
  visit(tree);
  return source
    .split("\n")
    .map((_line, index) => lines.get(index) ?? "")
    .join("\n");
}
