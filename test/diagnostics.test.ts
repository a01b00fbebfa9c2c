import { ts } from "ts-morph";
import { describe, expect, test } from "vitest";
import { type DiagnosticCode, diagnostics, QkvError } from "../src/ir/diagnostics.ts";
import { filesUnder } from "./support/files.ts";

/** Codes of the table that nothing throws yet. A code that is thrown must leave the list. */
const notThrown: readonly DiagnosticCode[] = ["QKV305"];
/** Codes that no test mentions yet. A code that is tested must leave the list. */
const notTested: readonly DiagnosticCode[] = [
  "QKV201",
  "QKV302",
  "QKV303",
  "QKV305",
  "QKV452",
  "QKV460",
  "QKV464",
  "QKV503",
  "QKV508",
];

const codes = Object.keys(diagnostics) as DiagnosticCode[];
const table = "src/ir/diagnostics.ts";
const sources = filesUnder(["src"], ".ts");

/** Codes that occur as texts of their own: what `fail("QKV210", …)` and tables of codes hold, not comments. */
function codesInCode({ path, text }: { readonly path: string; readonly text: string }): readonly string[] {
  if (!text.includes("QKV")) return [];
  const found: string[] = [];
  const stack: ts.Node[] = [ts.createSourceFile(path, text, ts.ScriptTarget.Latest)];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (ts.isStringLiteralLike(node) && /^QKV\d{3}$/.test(node.text)) found.push(node.text);
    ts.forEachChild(node, (child) => void stack.push(child));
  }
  return found;
}

describe("the table", () => {
  test("has codes of three digits, in order, each with a short title", () => {
    expect(codes.filter((code) => !/^QKV[1-59]\d\d$/.test(code))).toEqual([]);
    expect(codes).toEqual(codes.toSorted());
    const titles = codes.map((code) => diagnostics[code].title);
    expect(titles.filter((title) => title === "" || title.length > 70 || /[|\n]|\.$/.test(title))).toEqual([]);
    expect(new Set(titles).size).toBe(titles.length);
  });

  test("gives errors their exit codes", () => {
    for (const code of codes) expect(new QkvError(code, "").exitCode).toBe(diagnostics[code].exit);
    expect(codes.filter((code) => code > "QKV900").every((code) => diagnostics[code].exit === 70)).toBe(true);
  });
});

describe("every code", () => {
  const thrown = new Set([
    ...sources.filter(({ path }) => path !== table).flatMap(codesInCode),
    // `invariant` and `assertNever` of the table's own file.
    "QKV901",
  ]);

  test("of the table is thrown", () => {
    expect(codes.filter((code) => !thrown.has(code))).toEqual(notThrown);
  });

  test("of the table is tested", () => {
    const tests = filesUnder(["test"], "").filter(({ path }) => !path.endsWith("test/diagnostics.test.ts"));
    const text = tests.map((file) => file.text).join("\n");
    expect(codes.filter((code) => !text.includes(code))).toEqual(notTested);
  });

  test("that code or comments mention is in the table", () => {
    const known = new Set<string>(codes);
    const unknown = [...sources, ...filesUnder(["docs"], ".md")].flatMap(({ path, text }) =>
      // A range may end beyond its last code: "QKV101 to QKV129".
      [...text.matchAll(/(?<! to )\bQKV\d{3}\b/g)].flatMap(([code]) => (known.has(code) ? [] : [`${path}: ${code}`])),
    );
    expect(unknown).toEqual([]);
  });
});
