import { expect, test } from "vitest";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import type { OnnxFunction, OnnxModel, OnnxNode } from "../../src/backends/onnx/schema.ts";
import { compile } from "../../src/compile.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { runModel } from "../../src/session.ts";
import { graph, info, modelOf, node, tensor } from "./support.ts";

const io = [[info("x", "f32", [2])], [info("y", "f32", [2])]] as const;
const refused = (code: string, message?: RegExp) =>
  expect.objectContaining({ code, ...(message && { message: expect.stringMatching(message) }) });
const chain = (length: number, operator: (i: number) => string): readonly OnnxNode[] =>
  Array.from({ length }, (_, i) =>
    node(operator(i), [i === 0 ? "x" : `t${i - 1}`], [i === length - 1 ? "y" : `t${i}`]),
  );

const functionOf = (name: string, ...nodes: readonly OnnxNode[]): OnnxFunction => ({
  name,
  domain: "local",
  inputs: ["a"],
  outputs: ["b"],
  requiredAttributes: [],
  attributeDefaults: new Map(),
  opsetImports: [
    { domain: "", version: 18 },
    { domain: "local", version: 1 },
  ],
  nodes,
  valueInfo: [],
});
const calling = (name: string, functions: readonly OnnxFunction[]): OnnxModel => ({
  ...modelOf(graph([node(name, ["x"], ["y"], {}, "local")], ...io)),
  functions,
  opsetImports: [
    { domain: "", version: 18 },
    { domain: "local", version: 1 },
  ],
});

test("functions that call themselves, or whose calls make too many nodes, are refused", () => {
  const again = functionOf("again", node("again", ["a"], ["b"], {}, "local"));
  expect(() => importModel(calling("again", [again]))).toThrow(refused("QKV408"));
  const called = (name: string) => [node(name, ["a"], ["t"], {}, "local"), node(name, ["t"], ["b"], {}, "local")];
  const doubling = Array.from({ length: 40 }, (_, i) => functionOf(`f${i + 1}`, ...called(`f${i}`)));
  const one = functionOf("f0", node("Neg", ["a"], ["b"]));
  expect(() => importModel(calling("f40", [one, ...doubling]))).toThrow(refused("QKV409", /more than 2000000 nodes/));
  expect(importModel(calling("f4", [one, ...doubling])).graph.outputs.length).toBe(1);
});

test("long chains come in, sorted or not, of operators of ours or not", () => {
  const long = chain(4_000, (i) => (i % 2 ? "Neg" : "Abs"));
  for (const nodes of [long, long.toReversed(), chain(4_000, () => "Unheard")])
    expect(importModel(modelOf(graph(nodes, ...io))).graph.outputs.length).toBe(1);
});

test("an operator no one knows is kept, and refused by the runtime in one error", async () => {
  const imported = importModel(modelOf(graph([node("Unheard", ["x"], ["y"])], ...io)));
  expect(imported.opaque).toEqual([{ operator: "Unheard", reason: "the IR has no op for it", count: 1 }]);
  const { onnx } = await compile(imported);
  await expect(runModel(onnx(), new Map([["x", fromNumbers("f32", [2], [1, 2])]]))).rejects.toThrow(refused("QKV441"));
});

const named = (first: string, second: string) =>
  modelOf(
    graph(
      [node("Mul", [first, second], ["toString"]), node("Add", ["toString", "w"], ["valueOf"])],
      [info(first, "f32", [2]), info(second, "f32", [2])],
      [info("valueOf", "f32", [2])],
      [tensor("w", "f32", [2], [1, 2])],
    ),
  );

test.each([
  ["__proto__", "constructor"],
  ["<script>", "hasOwnProperty"],
] as const)("%s and %s are names", async (first, second) => {
  const { onnx } = await compile(importModel(named(first, second)));
  expect(onnx().graph.inputs.map(({ name }) => name)).toEqual([first, second]);
  expect(onnx().graph.outputs.map(({ name }) => name)).toEqual(["valueOf"]);
});

test.each(["a\nb", "\u001b[31mred", "a\u0000b"])("names that cannot be written are refused: %j", async (name) => {
  const compiled = async () => (await compile(importModel(named("a", name)))).onnx();
  const error = await compiled().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: expect.stringMatching(/^QKV\d+$/) });
});
