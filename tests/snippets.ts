import { readFile } from "node:fs/promises";
import { fromMarkdown } from "mdast-util-from-markdown";
import { root } from "./support.js";

/** A program shown in a document. */
export interface Snippet {
  /** `packages/core/README.md:12`. */
  readonly where: string;
  readonly code: string;
  /** False for one marked `no-run`: shown to be read, checked by the compiler alone. */
  readonly runs: boolean;
}

/**
 * The TypeScript programs of a Markdown file.
 *
 * A fence says `ts`, or `ts continued` for code that goes on from the fence before it, or `ts no-run`.
 */
export async function snippetsOf(file: string): Promise<Snippet[]> {
  const snippets: Snippet[] = [];
  for (const node of fromMarkdown(await readFile(`${root}/${file}`, "utf8")).children) {
    if (node.type !== "code" || node.lang !== "ts") continue;
    const previous = snippets.at(-1);
    if (node.meta === "continued" && previous !== undefined) {
      snippets[snippets.length - 1] = { ...previous, code: `${previous.code}\n\n${node.value}` };
    } else {
      snippets.push({ where: `${file}:${node.position?.start.line}`, code: node.value, runs: node.meta !== "no-run" });
    }
  }
  return snippets;
}
