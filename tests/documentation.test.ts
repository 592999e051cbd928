import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import {
  freePort,
  resolveMemcached,
  resolveMongo,
  resolveMySQL,
  resolvePostgres,
  resolveRedis,
} from "@sojourn/test-fixtures";
import ts from "typescript";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { type Snippet, snippetsOf } from "./snippets.js";
import { packages, root, run } from "./support.js";

const directory = `${root}/node_modules/.cache/sojourn/snippets`;
const documents = [
  "README.md",
  ...packages.map(({ folder }) => `packages/${folder}/README.md`),
  ...readdirSync(`${root}/docs`, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file}`),
];
const sources = packages.flatMap(({ folder }) =>
  readdirSync(`${root}/packages/${folder}/src`, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => `packages/${folder}/src/${file}`),
);
const [inDocuments, inComments] = await Promise.all(
  [documents, sources].map(async (files) => (await Promise.all(files.map(snippetsOf))).flat()),
);
const snippets = [...(inDocuments ?? []), ...(inComments ?? [])];

/** The variables by which examples find a server, each with the function that provides one. */
const servers = {
  REDIS_URL: resolveRedis,
  POSTGRES_URL: resolvePostgres,
  MYSQL_URL: resolveMySQL,
  MONGODB_URL: resolveMongo,
  MEMCACHED_URL: resolveMemcached,
};
const resolved = new Map<string, ReturnType<typeof resolveRedis>>();
afterAll(async () => {
  for (const server of resolved.values()) await (await server).stop();
});

describe("the examples in the documentation", () => {
  test("compile", async () => {
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true });
    await Promise.all(snippets.map((snippet, index) => writeFile(`${directory}/${index}.mts`, snippet.code)));
    const all = [...snippets.keys()].filter((index) => snippets[index]?.language === "ts");
    // Two applications would declare the same members of a request with different types.
    const apart = all.filter((index) => /declare (module "fastify"|global)/.test(snippets[index]?.code ?? ""));
    for (const program of [all.filter((index) => !apart.includes(index)), ...apart.map((index) => [index])]) {
      const config = {
        extends: `${root}/tsconfig.base.json`,
        // The decorators of Nest are of the kind that came before the standard.
        compilerOptions: { noEmit: true, declaration: false, noUnusedLocals: false, experimentalDecorators: true },
        files: program.map((index) => `${index}.mts`),
      };
      await writeFile(`${directory}/tsconfig.json`, JSON.stringify(config));
      const { status, output } = await run("tsc", ["-p", directory]);
      const located = output.replace(/^(?:.*\/)?(\d+)\.mts/gm, (_line, index) => snippets[Number(index)]?.where ?? "");
      expect(status, located).toBe(0);
    }
  });

  test.each(inDocuments?.filter(({ runs }) => runs) ?? [])("$where runs", async (snippet) => {
    const port = await freePort();
    const code = snippet.code.replaceAll(/(?<=listen\((?:\{ port: )?)\d+/g, String(port));
    const file = await programOf(snippet, code);
    // The imports of a program name its runner.
    const runner = code.includes('from "node:test"') ? ["--test"] : [];
    const child = spawn("node", [...runner, file], {
      env: { ...process.env, ...(await serverUrls(snippet)) },
      stdio: "pipe",
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const program = { child, ended: ended(child) };
    if (code !== snippet.code) return answers(program, port);
    const { status, output } = await program.ended;
    expect(status, output).toBe(0);
  });

  test("of the TSDoc comments run, one after the other in one process", async () => {
    const programs = inComments?.filter(({ runs }) => runs) ?? [];
    expect(programs.length).toBeGreaterThan(0);
    const files = await Promise.all(programs.map((snippet) => programOf(snippet, snippet.code)));
    const calls = programs.map(({ where }, at) => `console.log("${where}");\nawait import("${files[at]}");`);
    const all = `${directory}/comments.run.mjs`;
    await writeFile(all, calls.join("\n"));
    const { status, output } = await run("node", [all]);
    expect(status, output).toBe(0);
  });
});

test("the driver on the page about writing a store is the one that the kit's own tests run", async () => {
  const body = (text: string): string => text.slice(text.indexOf("const capabilities"));
  const driver = body(await readFile(`${root}/packages/testkit/test/fixtures/map-driver.ts`, "utf8"));
  expect(await readFile(`${root}/docs/writing-a-store.md`, "utf8")).toContain(driver);
});

describe("links", () => {
  const linked = [...documents, "examples/demo/README.md", "examples/fastify/README.md"];

  test.each(linked)("of %s lead to files that exist", async (document) => {
    const text = await readFile(`${root}/${document}`, "utf8");
    const relative = [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)].map(
      ([, target]) => `${dirname(document)}/${target}`,
    );
    const absolute = repositoryLinks(text).map(({ path }) => path);
    expect([...relative, ...absolute].filter((path) => !existsSync(`${root}/${path}`))).toEqual([]);
  });

  // A registry shows a README on its own page, where a relative link leads nowhere.
  test.each(documents.filter((document) => document.endsWith("README.md") && !document.startsWith("docs/")))(
    "of %s work on the page of a registry",
    async (document) => {
      const text = await readFile(`${root}/${document}`, "utf8");
      expect([...text.matchAll(/(?<!!)\[[^\]]*\]\((?!https?:|#|mailto:)[^)]+\)/g)].map(([link]) => link)).toEqual([]);
      const wrong = repositoryLinks(text).filter(
        ({ kind, path }) => (kind === "tree") !== statSync(`${root}/${path}`).isDirectory(),
      );
      expect(wrong).toEqual([]);
    },
  );
});

// A secret that a reader can copy is a secret that an attacker knows.
test.each(documents)("the examples in %s contain no secret", async (document) => {
  const text = await readFile(`${root}/${document}`, "utf8");
  expect(text.match(/\bsecret(?: =|:) (?:process\.env\.\w+ \?\? )?["'`].*/gi)).toBeNull();
});

/** Returns the links of a document to files and folders of this repository. */
function repositoryLinks(text: string): { kind: string; path: string }[] {
  const links = text.matchAll(/\]\(https:\/\/github\.com\/sojourn-js\/sojourn\/(blob|tree)\/main\/([^)#\s]+)/g);
  return [...links].map(([, kind = "", path = ""]) => ({ kind, path }));
}

/** Writes a program as JavaScript, and returns its file. A program in JavaScript is written as it stands. */
async function programOf({ language, where }: Snippet, code: string): Promise<string> {
  const file = `${directory}/${where.replaceAll(/\W/g, "-")}.run.mjs`;
  await mkdir(directory, { recursive: true });
  await writeFile(file, language === "js" ? code : toJavaScript(code));
  return file;
}

function toJavaScript(code: string): string {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  return ts.transpileModule(code, { compilerOptions }).outputText;
}

async function serverUrls({ code }: Snippet): Promise<Record<string, string>> {
  const urls: Record<string, string> = {};
  for (const [variable, resolve] of Object.entries(servers)) {
    if (!code.includes(variable)) continue;
    if (!resolved.has(variable)) resolved.set(variable, resolve());
    urls[variable] = (await resolved.get(variable))?.url ?? "";
  }
  return urls;
}

interface Ended {
  readonly status: number | null;
  readonly output: string;
}

function ended(child: ChildProcess): Promise<Ended> {
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, output })));
}

/** Waits until a server program answers a request, then stops it. */
async function answers({ child, ended }: { child: ChildProcess; ended: Promise<Ended> }, port: number): Promise<void> {
  let crashed: Ended | undefined;
  void ended.then((outcome) => {
    crashed = outcome;
  });
  for (;;) {
    if (crashed !== undefined) expect.fail(`ended with ${crashed.status} before it answered\n${crashed.output}`);
    const response = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
    if (response !== undefined) {
      expect(response.status).toBeLessThan(500);
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  child.kill();
  await ended;
}
