import fc from "fast-check";
import { expect, test } from "vitest";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { symbol } from "../../src/ir/dim.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { parseFormula } from "../../src/ir/index-expr/text.ts";
import type { IndexExpr, IndexTable } from "../../src/ir/index-expr/types.ts";
import { fromNumbers, type HostTensor } from "../../src/ir/tensor.ts";
import { forms } from "../../src/passes/mask/choose.ts";
import { problemOf } from "../../src/passes/mask/problem.ts";
import { ortCpuTarget } from "../../src/passes/target.ts";
import { plausibleMask, tables } from "../ir/index-analysis/random-mask.ts";
import { heldEveryWay } from "./support/held.ts";

/** Random masks in every form that has a plan for them, against the attention's own meaning in float64. */

const scores = ["s", "s - (q - k) / (h + 2)", "3 * Math.tanh(s / 3)", "q % 3 === 1 ? s : s * 0.5"];
const width = 2;

let state = 11;
const random = () => (state = (state * 48271) % 2147483647) / 2147483647 - 0.5;
const tensor = (dims: number[]) =>
  fromNumbers(
    "f32",
    dims,
    Array.from({ length: dims.reduce((x, y) => x * y, 1) }, () => 3 * random()),
  );
const asConstant = (arena: Arena, table: IndexTable) =>
  arena.build.constant({ value: fromNumbers(table.truth ? "bool" : "f64", dimsOf(table), dataOf(table)) });
const dimsOf = (table: IndexTable) => (table.kind === "constant" ? table.dims : []);
const dataOf = (table: IndexTable) => (table.kind === "constant" ? table.data : new Float64Array());

function check(mask: IndexExpr, score: string, normaliser: string, [Q, K]: readonly [number, number], open: boolean) {
  const arena = new Arena();
  const [n, m] = open ? [symbol("n"), Q === K ? symbol("n") : symbol("m")] : [Q, K];
  const q = arena.build.input({ name: "q", dtype: "f32", shape: [1, 2, n, width] });
  const k = arena.build.input({ name: "k", dtype: "f32", shape: [1, 1, m, width] });
  const constants = tables.map((table) => asConstant(arena, table));
  const node = arena.node("attention", [q, k, k, ...constants], {
    ...{ scale: 0.5, normaliser, mask, score: parseFormula(score), tables: tables.length },
  });
  const problems = heldEveryWay(problemOf(node, arena.build));
  const feeds = new Map<string, HostTensor>([
    ["q", tensor([1, 2, Q, width])],
    ["k", tensor([1, 1, K, width])],
  ]);
  const output = (value: typeof q) => evaluateGraph(graphOf("g", [q, k], [["y", value]]), feeds).get("y")!.data;
  const expected = output(node.results[0]!);
  for (const [form, problem] of forms.flatMap((form) => problems.map((problem) => [form, problem] as const))) {
    const plan = form.plan(problem, { target: ortCpuTarget(), numbers: undefined });
    if (typeof plan === "string" || Q < (plan.least ?? 1)) continue;
    const found = output(plan.build());
    const worst = expected.reduce((most, x, i) => Math.max(most, Math.abs(x - found[i]!)), 0);
    expect(worst, form.name).toBeLessThan(1e-9);
  }
}

const lengths = fc.constantFrom([1, 1], [17, 17], [33, 33], [70, 70], [20, 45], [45, 20]) as fc.Arbitrary<
  readonly [number, number]
>;

test("random masks, scores and lengths", () => {
  fc.assert(
    fc.property(
      plausibleMask,
      fc.constantFrom(...scores),
      fc.constantFrom("softmax", "softmax", "sigmoid", "none"),
      lengths,
      fc.boolean(),
      (mask, score, normaliser, sizes, open) => check(mask, score, normaliser, sizes, open),
    ),
    { numRuns: Number(process.env.RUNS ?? 60), seed: Number(process.env.SEED ?? 5) },
  );
});
