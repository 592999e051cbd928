import { readFile } from "node:fs/promises";
import { fromMarkdown } from "mdast-util-from-markdown";
import ts from "typescript";
import { root } from "./support.js";

/** A program shown in a document or in a TSDoc comment. */
export interface Snippet {
  /** `packages/core/README.md:12`. */
  readonly where: string;
  readonly code: string;
  /** False for `no-run`: the program is compiled only. */
  readonly runs: boolean;
}

/**
 * Returns the TypeScript programs of a Markdown file, or of the TSDoc comments of a source file.
 *
 * A fence says `ts`, `ts continued` for code that goes on from the fence before it, `ts no-run`, or `ts in-request` for code
 * that uses the `session` of a request.
 */
export async function snippetsOf(file: string): Promise<Snippet[]> {
  const snippets: Snippet[] = [];
  const inRequest: string[] = [];
  const text = await readFile(`${root}/${file}`, "utf8");
  for (const node of fromMarkdown(file.endsWith(".ts") ? tsdocOf(file, text) : text).children) {
    if (node.type !== "code" || node.lang !== "ts") continue;
    const previous = snippets.at(-1);
    if (node.meta === "in-request") inRequest.push(node.value);
    else if (node.meta === "continued" && previous !== undefined) {
      snippets[snippets.length - 1] = { ...previous, code: `${previous.code}\n\n${node.value}` };
    } else {
      snippets.push({ where: `${file}:${node.position?.start.line}`, code: node.value, runs: node.meta !== "no-run" });
    }
  }
  if (inRequest.length > 0) snippets.push({ where: `${file} (in requests)`, code: inRequests(inRequest), runs: true });
  return snippets;
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
