import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Arena, graphOf } from "../../../src/ir/arena.ts";
import { type Dim, symbol } from "../../../src/ir/dim.ts";
import { evaluateGraph } from "../../../src/ir/evaluate.ts";
import { nodesOf } from "../../../src/ir/graph.ts";
import { indexEvaluator } from "../../../src/ir/index-expr/evaluate.ts";
import type { IndexFn } from "../../../src/ir/index-expr/functions.ts";
import { lowerFormula } from "../../../src/ir/index-expr/lower.ts";
import { showIndexExpr } from "../../../src/ir/index-expr/show.ts";
import { applied, constant, type IndexExpr, index } from "../../../src/ir/index-expr/types.ts";
import { fromNumbers } from "../../../src/ir/tensor.ts";

/** Bit operations as tensors against JavaScript's own. */

const [Q, K] = [9, 7];
const [q, k] = [index("q"), index("k")];
const binary = ["bitAnd", "bitOr", "bitXor", "shiftLeft", "shiftRight", "shiftRightUnsigned"] as const;

function graphFor(expr: IndexExpr, lengths: { readonly Q: Dim; readonly K: Dim }) {
  const arena = new Arena();
  const open = arena.build.input({ name: "x", dtype: "f32", shape: [lengths.Q, lengths.K] });
  const all = { B: 1, H: 1, ...lengths };
  const found = lowerFormula({ expr, tables: [] }, { build: arena.build, lengths: all, dtype: "f64" });
  const whole = arena.build.broadcast(found, { shape: [1, 1, lengths.Q, lengths.K] });
  return graphOf("bits", [open], [["y", whole]]);
}

function check(expr: IndexExpr): void {
  const evaluate = indexEvaluator({ expr, tables: [] });
  const expected: number[] = [];
  for (let i = 0; i < Q; i++) for (let j = 0; j < K; j++) expected.push(evaluate({ b: 0, h: 0, q: i, k: j }) + 0);
  const feeds = new Map([["x", fromNumbers("f32", [Q, K], new Float64Array(Q * K))]]);
  for (const lengths of [
    { Q, K },
    { Q: symbol("queries"), K: symbol("keys") },
  ])
    expect(
      Array.from(evaluateGraph(graphFor(expr, lengths), feeds).get("y")!.data, (x) => x + 0),
      showIndexExpr(expr),
    ).toEqual(expected);
}

const { expr: anyBits } = fc.letrec<{ expr: IndexExpr }>((tie) => ({
  expr: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(q, k, applied("sub", q, k), applied("div", q, constant(2))),
    fc
      .oneof(
        fc.integer({ min: -9, max: 40 }),
        fc.constantFrom(1.5, -2.5, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 32 + 5),
      )
      .map(constant),
    fc.tuple(fc.constantFrom<IndexFn>(...binary), tie("expr"), tie("expr")).map(([fn, x, y]) => applied(fn, x, y)),
    tie("expr").map((x) => applied("bitNot", x)),
    fc.tuple(tie("expr"), tie("expr")).map(([x, y]) => applied("add", x, y)),
  ),
}));

describe("bit operations", () => {
  test("are those of JavaScript", () => {
    fc.assert(fc.property(anyBits, check), { numRuns: 300 });
  });

  test.each<readonly [string, IndexExpr]>([
    ["bits put together", applied("bitOr", applied("bitAnd", q, constant(3)), applied("shiftLeft", k, constant(2)))],
    ["bits that overlap", applied("bitOr", applied("bitAnd", q, constant(7)), applied("shiftLeft", k, constant(2)))],
    ["a shift into the sign", applied("shiftLeft", applied("bitAnd", q, constant(3)), constant(30))],
    ["a negative mask", applied("bitAnd", applied("sub", q, k), constant(-4))],
    ["halves", applied("bitOr", applied("div", q, constant(2)), constant(0))],
  ])("%s", (_, expr) => check(expr));

  test("of numbers with few bits take few operations", () => {
    const interleaved = [0, 1, 2, 3].reduce<IndexExpr>((sum, bit) => {
      const taken = applied("bitAnd", applied("shiftRight", q, constant(2 * bit)), constant(1));
      return applied("bitOr", sum, applied("shiftLeft", taken, constant(bit)));
    }, constant(0));
    check(interleaved);
    expect(nodesOf(graphFor(interleaved, { Q: symbol("queries"), K })).length).toBeLessThan(60);
  });
});
