import { describe, expect, test } from "vitest";
import { agreement } from "../../../src/agreement.ts";
import type { OnnxModel, OnnxNode } from "../../../src/backends/onnx/schema.ts";
import { unrounded } from "../../../src/backends/onnx/unrounded.ts";
import { fromNumbers } from "../../../src/ir/tensor.ts";
import { runModel } from "../../../src/session.ts";
import { graph, info, int, modelOf, node, tensor } from "../../import/support.ts";

const weights = tensor("w", "i8", [3, 2], [7, -3, 0, 5, 2, -9]);
const point = tensor("wz", "i8", [], [1]);
const feeds = new Map([["x", fromNumbers("f32", [2, 3], [0.31, -1.27, 0.5, 2.02, 0.004, -0.77])]]);

/** What exporters write for x · w with dynamic quantisation; `scale` multiplies the result. */
function quantised(scale: number, ahead: readonly OnnxNode[] = []): OnnxModel {
  const nodes = [
    ...ahead,
    node("DynamicQuantizeLinear", [ahead.at(-1)?.outputs[0] ?? "x"], ["q", "s", "z"]),
    node("MatMulInteger", ["q", "w", "z", "wz"], ["product"]),
    node("Cast", ["product"], ["float"], { to: int(1) }),
    node("Mul", ["s", "ws"], ["scales"]),
    node("Mul", ["float", "scales"], ["y"]),
  ];
  const tensors = [weights, point, tensor("ws", "f32", [], [scale])];
  return modelOf(graph(nodes, [info("x", "f32", [2, 3])], [info("y", "f32", [2, 2])], tensors));
}

describe("without rounding to 8 bits", () => {
  test("a quantised product is the product of floats", async () => {
    const y = (await runModel(unrounded(quantised(0.5))!, feeds)).get("y")!;
    const [x, w] = [[...feeds.get("x")!.data].map(Number), [6, -4, -1, 4, 1, -10]];
    const expected = [0, 1].flatMap((row) =>
      [0, 1].map((column) => 0.5 * [0, 1, 2].reduce((sum, k) => sum + x[3 * row + k]! * w[2 * k + column]!, 0)),
    );
    [...y.data].forEach((value, i) => expect(Number(value)).toBeCloseTo(expected[i]!, 5));
  });

  test("graphs within the graph are rewritten too, and what they read of it is found", async () => {
    const inner = quantised(1).graph;
    const branch = { kind: "graph", value: { ...inner, inputs: [] } } as const;
    const outer = graph(
      [node("If", ["go"], ["out"], { then_branch: branch, else_branch: branch })],
      [info("x", "f32", [2, 3]), info("go", "bool", [])],
      [info("out", "f32", [2, 2])],
    );
    const both = new Map([...feeds, ["go", fromNumbers("bool", [], [1])]]);
    const y = (await runModel(unrounded(modelOf(outer))!, both)).get("out")!;
    expect(y.data).toEqual((await runModel(unrounded(quantised(1))!, feeds)).get("y")!.data);
  });

  test("a tensor stored in integers stays as it is, and a model that rounds nothing has no such form", () => {
    const stored = modelOf(
      graph(
        [node("DequantizeLinear", ["w", "ws"], ["y"])],
        [],
        [info("y", "f32", [3, 2])],
        [weights, tensor("ws", "f32", [], [2])],
      ),
    );
    expect(unrounded(stored)).toBeUndefined();
    const inOne = [node("QLinearMatMul", ["q", "s", "z", "w", "ws", "wz", "s", "z"], ["u"])];
    const { graph: base, ...rest } = quantised(1);
    expect(unrounded({ ...rest, graph: { ...base, nodes: [...base.nodes, ...inOne] } })).toBeUndefined();
  });
});

describe("agreement", () => {
  const run = async (one: OnnxModel, other: OnnxModel, given = feeds) => {
    const level = "disabled" as const;
    const [expected, actual] = [await runModel(one, given, { level }), await runModel(other, given, { level })];
    return agreement([{ onnx: () => one, level }, expected], [{ onnx: () => other, level }, actual], given);
  };

  test("equal outputs need no more", async () => {
    expect(await run(quantised(0.5), quantised(0.5))).toMatchObject({ equal: true, unrounded: false, maxAbsError: 0 });
  });

  test("what differs by how a rounding falls is equal without it, and the error stays", async () => {
    // Steps are 1 wide; 2.5 becomes 2, and what is a last bit more becomes 3.
    const plus = (more: number): OnnxModel => {
      const { graph: base, ...rest } = quantised(0.5, [node("Add", ["x", "more"], ["ahead"])]);
      const ahead = tensor("more", "f32", [2, 3], [0, 0, more, 0, 0, 0]);
      return { ...rest, graph: { ...base, initializers: [...base.initializers, ahead] } };
    };
    const steps = new Map([["x", fromNumbers("f32", [2, 3], [0, 255, 2.5, 7, 100, 31])]]);
    expect(await run(plus(0), plus(2.4e-7), steps)).toMatchObject({ equal: true, unrounded: true, maxAbsError: 5 });
  });

  test("what differs without the rounding, too, is not equal", async () => {
    expect(await run(quantised(0.5), quantised(0.501))).toMatchObject({ equal: false, unrounded: false });
  });
});
