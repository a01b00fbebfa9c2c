import { expect, test } from "vitest";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import type { OnnxAttribute, OnnxFunction, OnnxModel, OnnxNode } from "../../src/backends/onnx/schema.ts";
import { compile } from "../../src/compile.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { runModel } from "../../src/session.ts";
import { graph, info, int, modelOf, node, tensor } from "./support.ts";

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

test("a graph without outputs, or whose output is of another type than it says, is refused", () => {
  const negated = [node("Neg", ["x"], ["y"])];
  expect(() => importModel(modelOf(graph([], io[0], [])))).toThrow(refused("QKV402", /no outputs/));
  expect(() => importModel(modelOf(graph(negated, io[0], [info("y", "i64", [2])])))).toThrow(
    refused("QKV402", /says that "y" is i64\[2\]; it is f32\[2\]/),
  );
});

test.each<readonly [string, readonly string[], Readonly<Record<string, OnnxAttribute>>]>([
  ["Concat", [], { axis: int(0) }],
  ["Where", [], {}],
  ["Einsum", [], { equation: { kind: "string", value: "->" } }],
  ["Split", ["x"], { axis: int(0), num_outputs: int(2 ** 40) }],
  ["Conv", ["x", "x", "x"], {}],
  ["InstanceNormalization", ["x", "x", "x"], {}],
  ["Constant", ["x"], {}],
] as const)(
  "%s with operands or attributes it cannot have is kept for the runtime to refuse",
  (opType, inputs, attrs) => {
    const { opaque } = importModel(modelOf(graph([node(opType, inputs, ["y"], attrs)], ...io)));
    expect(opaque.map(({ operator }) => operator)).toEqual([opType]);
  },
);

test("a count of 2^40 is counted by nobody", async () => {
  const scalar = (name: string, value: number) => tensor(name, "i64", [], [value]);
  const file = modelOf(
    graph(
      [node("Range", ["from", "to", "by"], ["r"]), node("Cast", ["r"], ["y"], { to: int(1) })],
      [],
      [info("y", "f32", [null])],
      [scalar("from", 0), scalar("to", 2 ** 40), scalar("by", 1)],
    ),
  );
  const compiled = await compile(importModel(file));
  expect(compiled.graph.outputs[0]?.value.type.shape).toEqual([2 ** 40]);
  expect(() => compiled.onnx()).not.toThrow();
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
