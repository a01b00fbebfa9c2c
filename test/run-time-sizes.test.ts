import { describe, expect, test } from "vitest";
import { importModel } from "../src/backends/onnx/import/import.ts";
import { checkAgainst } from "../src/check.ts";
import { compare } from "../src/compare.ts";
import { compile, type Declared } from "../src/compile.ts";
import { Arena } from "../src/ir/arena.ts";
import { costOf } from "../src/ir/cost.ts";
import { show } from "../src/ir/dim.ts";
import { parseGraph } from "../src/ir/parse.ts";
import { verify } from "../src/verify.ts";
import { graph, info, int, modelOf, node } from "./import/support.ts";

function declared(text: string): Declared {
  const arena = new Arena();
  return { arena, graph: parseGraph(text, arena) };
}

/** Rows of x at which m is true, through two layers. */
const rows = declared(`
graph @rows(%x: f32[n, 8], %m: bool[n]) {
  %at: i64[t] = flatNonZero(%m) {count = t}
  %some: f32[t, 8] = gather(%x, %at)
  %w: f32[8, 8] = param() {name = "w", dtype = f32, shape = [8, 8]}
  %y: f32[t, 8] = contract(%some, %w) {spec = "t i, i j -> t j"}
  %z: f32[t, 8] = exp(%y)
  return %z
}`);

/** What the file keeps, and then a product whose size only a run tells. */
const kept = importModel(
  modelOf(
    graph(
      [
        node("Compress", ["x", "keep"], ["some"], { axis: int(0) }),
        node("MatMul", ["some", "turned"], ["y"]),
        node("Transpose", ["x"], ["turned"]),
      ],
      [info("x", "f32", ["n", 3]), info("keep", "bool", ["n"])],
      [info("y", "f32", [null, null])],
    ),
  ),
);

test("what only a run tells counts as the most it can be", () => {
  expect(show(costOf(rows.graph).flops)).toBe("136*n");
  expect(show(costOf(kept.graph).flops)).toBe("768*n");
});

test("of branches that bind one name the larger counts", () => {
  const { graph } = declared(`
graph @branches(%x: f32[n, 2], %long: bool[]) {
  %y: f32[t, 2] = if(%long, %x) {whenTrue = graph @both(%a: f32[n, 2]) {
    %twice: f32[2*n, 2] = concat(%a, %a) {axis = 0}
    %y: f32[t, 2] = refine(%twice) {shape = [t, 2]}
    return %y
  }, whenFalse = graph @one(%a: f32[n, 2]) {
    %y: f32[t, 2] = refine(%a) {shape = [t, 2]}
    return %y
  }}
  %z: f32[t, 2] = exp(%y)
  return %z
}`);
  expect(show(costOf(graph).flops)).toBe("4*n");
});

describe.each([
  ["a declared model", rows, 136],
  ["an imported one", kept, 768],
] as const)("%s with sizes only a run tells", (_, model, flops) => {
  test("is checked, and compared over lengths", async () => {
    const naive = await compile(model, { naive: true });
    expect(await checkAgainst(naive, await compile(model))).toBe(true);
    const runs = [5, 9, 17].map((n) => new Map([["n", n]]));
    const measure = { rounds: 1, minMs: 1, warmupMs: 0, restMs: 0 };
    const report = await compare(model, { runs, memory: false, measure });
    expect(report.runs.flatMap(({ variants }) => variants.map(({ equal }) => equal))).not.toContain(false);
    expect(report.runs.map(({ variants }) => variants[0]!.flops)).toEqual([5, 9, 17].map((n) => flops * n));
  });
});

test.each([
  ["a declared model", rows],
  ["an imported one", kept],
])("%s with sizes only a run tells is verified", async (_, model) => {
  const { runs, guilty } = await verify(model);
  expect(runs.length).toBeGreaterThan(0);
  expect(guilty).toBeUndefined();
});
