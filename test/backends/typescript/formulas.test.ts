import { describe, expect, it } from "vitest";
import { formulaFunction } from "../../../src/backends/typescript/formulas.ts";
import { applied, constant, type IndexExpr, index, lookup } from "../../../src/ir/index-expr/types.ts";

const names = { tables: [{ name: "bias", truth: false }], queries: "q", keys: "k" };
const read = lookup(0, [index("q")]);
const near = applied("less", index("k"), index("q"));

/** A part made of itself, twice each time. */
function doubled(part: IndexExpr, times: number): IndexExpr {
  let expr = part;
  for (let i = 0; i < times; i++) expr = applied("mul", expr, applied("add", expr, constant(i)));
  return expr;
}

const written = (expr: IndexExpr): string => JSON.stringify(formulaFunction("score", expr, names));

describe("parts that are used many times", () => {
  it("are written once, also beside conditions, where their tables are read anyway", () => {
    const chosen = applied("add", read, applied("select", near, doubled(read, 40), constant(0)));
    expect(written(chosen).length).toBeLessThan(10_000);
    const beside = applied("add", doubled(read, 40), applied("select", near, read, constant(0)));
    expect(written(beside).length).toBeLessThan(10_000);
  });

  it("stay under the condition that keeps their index within the table", () => {
    const before = lookup(0, [applied("sub", index("q"), constant(1))]);
    const expr = applied("select", near, applied("mul", before, before), constant(0));
    expect(formulaFunction("score", expr, names)).toMatchObject({
      body: { text: "k < q ? bias[q - 1]! * bias[q - 1]! : 0" },
    });
  });
});
