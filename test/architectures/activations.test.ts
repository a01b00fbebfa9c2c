import { expect, test } from "vitest";
import { activate, activations } from "../../models/parts/activations.ts";
import { input, model } from "../../src/dsl/index.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";

const points = [-7.5, -2.5, -0.3, 0, 1.7, 11.5];

/** What transformers 5.18 gives at the points in float64, to 8 digits. */
const expected: readonly (readonly [name: string, values: readonly number[]])[] = [
  ["gelu", [0, -0.015524163, -0.11462657, 0, 1.6242387, 11.5]],
  ["gelu_10", [0, -0.015524163, -0.11462657, 0, 1.6242387, 10.0]],
  ["gelu_accurate", [0, -0.015084266, -0.11462908, 0, 1.6241059, 11.5]],
  ["gelu_fast", [0, -0.015084266, -0.11462908, 0, 1.6241059, 11.5]],
  ["gelu_new", [0, -0.015084266, -0.11462908, 0, 1.6241059, 11.5]],
  ["gelu_python", [0, -0.015524163, -0.11462657, 0, 1.6242387, 11.5]],
  ["gelu_python_tanh", [0, -0.015084266, -0.11462908, 0, 1.6241059, 11.5]],
  ["gelu_pytorch_tanh", [0, -0.015084266, -0.11462908, 0, 1.6241059, 11.5]],
  ["hardswish", [0, -0.20833333, -0.135, 0, 1.3316667, 11.5]],
  ["laplace", [0, 0, 0.00017842336, 0.0060944596, 0.99978399, 1.0]],
  ["leaky_relu", [-0.075, -0.025, -0.003, 0, 1.7, 11.5]],
  ["linear", [-7.5, -2.5, -0.3, 0, 1.7, 11.5]],
  ["mish", [-0.0041469856, -0.1968162, -0.15113318, 0, 1.6207681, 11.5]],
  ["quick_gelu", [-2.1443267e-5, -0.034986165, -0.11251586, 0, 1.6107827, 11.5]],
  ["relu", [0, 0, 0, 0, 1.7, 11.5]],
  ["relu2", [0, 0, 0, 0, 2.89, 132.25]],
  ["relu6", [0, 0, 0, 0, 1.7, 6.0]],
  ["sigmoid", [0.00055277864, 0.07585818, 0.42555748, 0.5, 0.84553473, 0.99998987]],
  ["silu", [-0.0041458398, -0.18964545, -0.12766724, 0, 1.437409, 11.499884]],
  ["swish", [-0.0041458398, -0.18964545, -0.12766724, 0, 1.437409, 11.499884]],
  ["tanh", [-0.99999939, -0.9866143, -0.29131261, 0, 0.93540907, 1.0]],
];

test.each(expected)("%s", (name, values) => {
  const { graph } = model("activation", () => activate(input("x", "f64", [points.length]), name)).build();
  const out = evaluateGraph(graph, new Map([["x", fromNumbers("f64", [points.length], points)]]), {});
  [...out.get("output")!.data].forEach((value, i) => expect(value).toBeCloseTo(values[i]!, 6));
});

test("no others are known", () => {
  expect(activations).toEqual(expected.map(([name]) => name));
});
