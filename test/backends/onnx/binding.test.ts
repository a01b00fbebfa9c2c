import { expect, test } from "vitest";
import { exportGraph } from "../../../src/backends/onnx/export.ts";
import { Arena, graphOf } from "../../../src/ir/arena.ts";
import { mul, sub, symbol } from "../../../src/ir/dim.ts";
import type { Value } from "../../../src/ir/graph.ts";
import { fromNumbers } from "../../../src/ir/tensor.ts";
import { verifyGraph } from "../../../src/ir/verify.ts";
import { check, operators, reader, standard, tensor } from "./support/check.ts";

const [n, k] = [symbol("n"), symbol("k")];
const bools = (dims: readonly number[], values: readonly number[]) => fromNumbers("bool", dims, values);

/** Rows of x where the mask holds, twice as many counts, and the rows in their old places. */
function gathered() {
  const arena = new Arena();
  const b = arena.build;
  const x = b.input({ name: "x", dtype: "f32", shape: [n, 3] });
  const m = b.input({ name: "m", dtype: "bool", shape: [n, 1] });
  const at = b.flatNonZero(m, { count: k });
  const rows = b.gather(x, at, { axis: 0 });
  const zeros = b.broadcast(b.scalar(0, "f32"), { shape: [n, 3] });
  const outputs: (readonly [string, Value])[] = [
    ["counts", b.iota({ size: mul(2, k) })],
    ["ones", b.broadcast(b.scalar(1, "f32"), { shape: [k, 2] })],
    ["rows", rows],
    ["back", b.scatter(zeros, at, rows, { axis: 0 })],
    ["left", b.size({ of: sub(n, k) })],
  ];
  return { arena, graph: graphOf("gathered", [x, m], outputs) };
}

test("sizes known only at run time", async () => {
  const { arena, graph } = gathered();
  verifyGraph(graph);
  for (const values of [[1, 0, 1, 1, 0], [0, 0], [1], [1, 1, 1], []]) {
    const m = bools([values.length, 1], values);
    const feeds = new Map([
      ["x", tensor("f32", [values.length, 3])],
      ["m", m],
    ]);
    for (const opset of [17, 23]) await check(arena, graph, feeds, standard(opset));
  }
});

/** Both branches answer the same symbol for tensors of different lengths, and each uses it within. */
function branching() {
  const arena = new Arena();
  const b = arena.build;
  const x = b.input({ name: "x", dtype: "f32", shape: [n, 2] });
  const captured = b.input({ name: "captured", dtype: "f32", shape: [n, 2] });
  const branch = (name: string, wide: Value) => {
    const named = b.refine(wide, { shape: [k, 2] });
    const places = b.reshape(b.cast(b.iota({ size: k }), { to: "f32" }), { shape: [k, 1] });
    return graphOf(name, [captured], [["y", b.add(named, places)]]);
  };
  const short = b.less(b.size({ of: n }), b.scalar(3, "i64"));
  const branches = {
    whenTrue: branch("twice", b.concat(captured, captured, { axis: 0 })),
    whenFalse: branch("once", captured),
  };
  const y = arena.node("if", [short, x], branches).results[0]!;
  const flat = b.reshape(b.broadcast(b.scalar(2, "f32"), { shape: [2, k] }), { shape: [k, 2] });
  return {
    arena,
    graph: graphOf(
      "branching",
      [x],
      [
        ["y", b.mul(y, flat)],
        ["k", b.size({ of: k })],
      ],
    ),
  };
}

test("a size bound within branches, and by them", async () => {
  const { arena, graph } = branching();
  verifyGraph(graph);
  for (const length of [1, 2, 3, 7])
    await check(arena, graph, new Map([["x", tensor("f32", [length, 2])]]), standard());
  const model = exportGraph(graph, { arena, target: standard(), weights: reader() });
  const branches = [...model.graph.nodes.find(({ opType }) => opType === "If")!.attributes.values()];
  for (const held of branches)
    expect(held.kind === "graph" && held.value.nodes.some(({ opType }) => opType === "Shape")).toBe(true);
  expect(operators(model).filter((opType) => opType === "Shape").length).toBeGreaterThan(0);
});
