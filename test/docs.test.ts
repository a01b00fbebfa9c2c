import { existsSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { ts } from "ts-morph";
import { describe, expect, test } from "vitest";
import { pages } from "../scripts/docs/pages.ts";
import { filesUnder } from "./support/files.ts";

// `npm run docs` runs this file with -u (after the file: before it, it would swallow the name), which writes the pages
// instead of comparing them.
test.each(Object.entries(pages))("docs/%s is what its source gives", async (file, render) => {
  await expect(await render()).toMatchFileSnapshot(`../docs/${file}`);
});

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), "utf8");

/** First arguments, where they are plain texts, of calls and `new`s of the functions named. */
function textArguments(names: readonly string[]): readonly string[] {
  const found: string[] = [];
  for (const { path, text } of filesUnder(["src/cli"], ".ts")) {
    const stack: ts.Node[] = [ts.createSourceFile(path, text, ts.ScriptTarget.Latest)];
    for (let node = stack.pop(); node; node = stack.pop()) {
      if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
        const { expression } = node;
        const name = ts.isPropertyAccessExpression(expression) ? expression.name : expression;
        const first = node.arguments?.[0];
        if (ts.isIdentifier(name) && names.includes(name.text) && first && ts.isStringLiteralLike(first))
          found.push(first.text);
      }
      ts.forEachChild(node, (child) => void stack.push(child));
    }
  }
  return found;
}

describe("docs/cli.md", () => {
  const page = read("docs/cli.md");
  const options = textArguments(["option", "requiredOption", "Option"]);

  test("has a section for every command, and no other", () => {
    const documented = [...page.matchAll(/^```\nqkv ([a-z]+)/gm)].map(([, name]) => name!);
    expect(documented.toSorted()).toEqual(textArguments(["command"]).toSorted());
    expect(documented.filter((name) => !page.includes(`\n## ${name}\n`))).toEqual([]);
  });

  test("has every option as the command line declares it", () => {
    expect(options.length).toBeGreaterThan(10);
    const inTables = options.filter((option) => !option.startsWith("-o, --output") && option !== "--json");
    expect(inTables.filter((option) => !page.includes(`\`${option}\``))).toEqual([]);
  });

  test("has no option that there is not", () => {
    const known = new Set([...options.flatMap((option) => option.match(/--[a-z-]+/g) ?? []), "--help"]);
    const mentioned = new Set(page.match(/--[a-z][a-z-]*/g));
    expect([...mentioned].filter((option) => !known.has(option))).toEqual([]);
  });
});

test("docs/compare-json.md has every field of the report", () => {
  const page = read("docs/compare-json.md");
  const path = "src/compare-report.ts";
  const fields = ts
    .createSourceFile(path, read(path), ts.ScriptTarget.Latest)
    .statements.filter(ts.isInterfaceDeclaration)
    .flatMap(({ members }) => members.map(({ name }) => (name as ts.Identifier).text));
  expect(fields.length).toBeGreaterThan(40);
  expect(
    fields.filter((field) => !page.includes(`"${field}":`) || !new RegExp(`^\\| \`${field}\\b`, "m").test(page)),
  ).toEqual([]);
});

describe("what pages mention is there", () => {
  const written = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    ...filesUnder(["docs"], ".md").map(({ path }) => path),
  ];
  const present = written.filter((path) => existsSync(fileURLToPath(new URL(`../${path}`, import.meta.url))));
  const exists = (path: string) => existsSync(fileURLToPath(new URL(`../${path}`, import.meta.url)));
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Readonly<Record<string, string>> };
  /** As a heading becomes an anchor: lower case, blanks to hyphens, other signs gone. */
  const anchors = (page: string) =>
    [...page.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    );

  test.each(present)("%s", (path) => {
    const text = read(path).replace(/^```[\s\S]*?^```/gm, "");
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)].flatMap(([, to, anchor]) => {
      const target = to === "" ? path : posix.join(posix.dirname(path), to!);
      if (!exists(target)) return [`${target} is linked`];
      return anchor === undefined || anchors(read(target)).includes(anchor) ? [] : [`${target}#${anchor} is linked`];
    });
    const files = [...text.matchAll(/`((?:src|test|scripts|bench|docs|models)\/[\w./-]*)`/g)].map(([, file]) => file!);
    const commands = [...text.matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name]) => name!);
    expect([
      ...links,
      ...files.filter((file) => !exists(file)).map((file) => `${file} is named`),
      ...commands.filter((name) => !(name in scripts)).map((name) => `npm run ${name}`),
    ]).toEqual([]);
  });
});
