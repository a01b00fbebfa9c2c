import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Arena } from "../../src/ir/arena.ts";
import { dtypes } from "../../src/ir/dtype.ts";
import { parseGraph } from "../../src/ir/parse.ts";
import { inlineLimit, printGraph } from "../../src/ir/print.ts";
import { verifyGraph } from "../../src/ir/verify.ts";

const page = readFileSync(new URL("../../docs/ir.md", import.meta.url), "utf8");

describe("docs/ir.md", () => {
  const examples = [...page.matchAll(/^```\n(graph @[^`]+?)```$/gm)].map(([, text]) => text!);

  test("has examples", () => expect(examples.length).toBe(2));

  test.each(examples)("prints as it stands: %s", (text) => {
    const arena = new Arena();
    const graph = parseGraph(text, arena);
    verifyGraph(graph, { arena });
    expect(printGraph(graph, { arena })).toBe(text);
  });

  test("names every element type and the limit of constants", () => {
    expect(page).toContain(dtypes.map((dtype) => `"${dtype}"`).join(" | "));
    expect(page).toContain(`up to ${inlineLimit} elements`);
  });
});
