import { expect, it } from "vitest";
import { exportGraph } from "../../../src/backends/onnx/export.ts";
import type { OnnxGraph } from "../../../src/backends/onnx/schema.ts";
import { Arena, graphOf } from "../../../src/ir/arena.ts";
import { add, type Dim, mul, symbol } from "../../../src/ir/dim.ts";
import { check, operators, reader, standard, tensor } from "./support/check.ts";

const S = symbol("S");

/** Longer sequences are padded by `long` and cut again, shorter ones by `short`. */
function padded(long: Dim, short: Dim, times = 1) {
  const arena = new Arena();
  const b = arena.build;
  const x = b.input({ name: "x", dtype: "f32", shape: [S, 3] });
  const inner = b.input({ name: "inner", dtype: "f32", shape: [S, 3] });
  const branch = (name: string, high: Dim) => {
    const wide = b.mul(b.pad(inner, { axis: 0, low: 0, high }), b.scalar(2, "f32"));
    return graphOf(name, [inner], [["y", b.slice(b.neg(wide), { axis: 0, start: 0, end: S })]]);
  };
  const condition = b.less(b.scalar(4, "i64"), b.size({ of: S }));
  const branches = { whenTrue: branch("long", long), whenFalse: branch("short", short) };
  let y = x;
  for (let i = 0; i < times; i++) y = arena.node("if", [condition, y], branches).results[0]!;
  return { arena, graph: graphOf("padded", [x], [["y", y]]) };
}

const choicesIn = (graph: OnnxGraph) => graph.nodes.filter(({ opType }) => opType === "If");

function parts(graph: OnnxGraph, at = 0): readonly (readonly string[])[] {
  const branches = choicesIn(graph)[at]!.attributes;
  const of = (name: string) => {
    const found = branches.get(name)!;
    return found.kind === "graph" ? found.value.nodes.map(({ opType }) => opType) : [];
  };
  return [of("then_branch"), of("else_branch")];
}

it("a dimension of one branch is computed there, one of both before", async () => {
  const own = padded(mul(S, S), 1);
  const model = exportGraph(own.graph, { arena: own.arena, target: standard(), weights: reader() });
  const [long, short] = parts(model.graph);
  expect(long).toContain("Mul");
  expect(long!.filter((opType) => opType === "Concat")).toHaveLength(1);
  expect(short!.filter((opType) => opType === "Concat")).toHaveLength(0);
  expect(operators(model)).not.toContain("Concat");

  const both = padded(add(S, 1), add(S, 1));
  const shared = exportGraph(both.graph, { arena: both.arena, target: standard(), weights: reader() });
  expect(operators(shared)).toContain("Concat");
  for (const nodes of parts(shared.graph)) expect(nodes).not.toContain("Concat");

  const twice = padded(mul(S, S), 1, 2);
  const each = exportGraph(twice.graph, { arena: twice.arena, target: standard(), weights: reader() });
  expect(choicesIn(each.graph)).toHaveLength(2);
  expect(each.graph.nodes.map(({ opType }) => opType)).not.toContain("Mul");
  const products = (at: number) =>
    parts(each.graph, at).map((nodes) => nodes.filter((opType) => opType === "Mul").length);
  expect([products(0), products(1)]).toEqual([
    [2, 1],
    [2, 1],
  ]);

  for (const { arena, graph } of [own, both, twice])
    for (const length of [1, 4, 5, 9])
      await check(arena, graph, new Map([["x", tensor("f32", [length, 3], length)]]), standard());
});
