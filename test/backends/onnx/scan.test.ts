import { describe, expect, it } from "vitest";
import { Arena, graphOf } from "../../../src/ir/arena.ts";
import { symbol } from "../../../src/ir/dim.ts";
import type { DType } from "../../../src/ir/dtype.ts";
import type { Graph, Value } from "../../../src/ir/graph.ts";
import { parseGraph } from "../../../src/ir/parse.ts";
import { printGraph } from "../../../src/ir/print.ts";
import { check, count, ortCpu, standard, tensor } from "./support/check.ts";

const levels = ["disabled", "all"] as const;
const S = symbol("S");

describe("cumsum", () => {
  const dtypes: readonly DType[] = ["f64", "f32", "f16", "i64", "i32", "i8", "u8"];
  it.each(dtypes)("%s, every direction, either axis", async (dtype) => {
    for (const exclusive of [false, true])
      for (const reverse of [false, true])
        for (const axis of [0, -1]) {
          const arena = new Arena();
          const x = arena.build.input({ name: "x", dtype, shape: [3, 7] });
          const y = arena.build.cumsum(x, { axis, exclusive, reverse });
          await check(arena, graphOf("sums", [x], [["y", y]]), new Map([["x", tensor(dtype, [3, 7], 2)]]), standard(), {
            levels,
          });
        }
  });
});

/** s ← s · gain + x, where the gain is an outer tensor; stacks what s was. */
function decaying(arena: Arena, name: string, of: (b: Arena["build"], s: Value, x: Value) => Value): Graph {
  const b = arena.build;
  const [s, x, gain] = ["s", "x", "gain"].map((input) => b.input({ name: input, dtype: "f32", shape: [3] }));
  const next = b.add(b.mul(s!, gain!), of(b, s!, x!));
  return graphOf(
    name,
    [s!, x!, gain!],
    [
      ["next", next],
      ["before", s!],
    ],
  );
}

describe("scan", () => {
  it.each([1, 5])("%i steps, opset 17 to 24, fixed and symbolic", async (length) => {
    for (const dim of [length, S])
      for (const opset of [17, 23, 24]) {
        const arena = new Arena();
        const inputs = [
          arena.build.input({ name: "s", dtype: "f32", shape: [3] }),
          arena.build.input({ name: "x", dtype: "f32", shape: [dim, 3] }),
          arena.build.input({ name: "gain", dtype: "f32", shape: [3] }),
        ];
        const body = decaying(arena, "step", (_, __, x) => x);
        const { results } = arena.node("scan", inputs, { body, states: 1, sequences: 1 });
        const graph = graphOf("sums", inputs, [
          ["last", results[0]!],
          ["states", results[1]!],
        ]);
        const feeds = new Map([
          ["s", tensor("f32", [3])],
          ["x", tensor("f32", [length, 3], 2)],
          ["gain", tensor("f32", [3], 3)],
        ]);
        const model = await check(arena, graph, feeds, ortCpu(opset), { levels });
        expect(count(model, "Scan")).toBe(1);
        const again = new Arena();
        expect(printGraph(parseGraph(printGraph(graph, { arena }), again), { arena: again })).toBe(
          printGraph(graph, { arena }),
        );
      }
  });

  // The value is one node in both graphs: what it stands for depends on where it is read.
  it("a body computes for itself what the outer graph computes of inputs of the same names", async () => {
    const arena = new Arena();
    const b = arena.build;
    const s = b.input({ name: "s", dtype: "f32", shape: [3] });
    const gain = b.input({ name: "gain", dtype: "f32", shape: [3] });
    const xs = b.input({ name: "xs", dtype: "f32", shape: [4, 3] });
    const outer = b.mul(s, gain);
    const body = decaying(arena, "step", (_, inner, x) => b.mul(inner, x));
    const { results } = arena.node("scan", [b.neg(outer), xs, outer], { body, states: 1, sequences: 1 });
    const graph = graphOf(
      "shared",
      [s, gain, xs],
      [
        ["outer", outer],
        ["last", results[0]!],
      ],
    );
    const feeds = new Map(
      graph.inputs.map((input, i) => [
        String(input.node.attrs.get("name")),
        tensor("f32", i < 2 ? [3] : [4, 3], i + 1),
      ]),
    );
    await check(arena, graph, feeds, standard(), { levels });
  });

  it("in a scan, in a branch, with weights and lengths of the outer graph", async () => {
    const arena = new Arena();
    const b = arena.build;
    const x = b.input({ name: "x", dtype: "f32", shape: [S, 3] });
    const w = b.param({ name: "w", dtype: "f32", shape: [3] });
    const count = b.cast(b.size({ of: S }), { to: "f32" });
    const inner = decaying(arena, "inner", (_, s, y) => b.mul(b.add(s, w), b.div(y, count)));
    const [s, row, all] = [
      b.input({ name: "s", dtype: "f32", shape: [3] }),
      b.input({ name: "row", dtype: "f32", shape: [3] }),
      b.input({ name: "all", dtype: "f32", shape: [S, 3] }),
    ];
    const nested = arena.node("scan", [s, all, row], { body: inner, states: 1, sequences: 1 }).results[0]!;
    const outer = graphOf("outer", [s, row, all], [["next", nested]]);
    const [taken, start] = [x, b.reduceSum(x, { axes: [0] })];
    const scanned = (xs: Value, from: Value) =>
      arena.node("scan", [from, xs, xs], { body: outer, states: 1, sequences: 1 }).results[0]!;
    const [p, q] = [
      b.input({ name: "p", dtype: "f32", shape: [S, 3] }),
      b.input({ name: "q", dtype: "f32", shape: [3] }),
    ];
    const branches = {
      whenTrue: graphOf("scanning", [p, q], [["y", scanned(p, q)]]),
      whenFalse: graphOf("not", [p, q], [["y", b.neg(q)]]),
    };
    const condition = b.less(b.scalar(1, "i64"), b.size({ of: S }));
    const y = arena.node("if", [condition, taken, start], branches).results[0]!;
    const weights = new Map([["w", tensor("f32", [3], 9)]]);
    for (const length of [1, 4])
      await check(
        arena,
        graphOf("deep", [x], [["y", y]]),
        new Map([["x", tensor("f32", [length, 3], 4)]]),
        standard(),
        { levels, weights },
      );
  });
});
