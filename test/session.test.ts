import { describe, expect, test } from "vitest";
import { importModel } from "../src/backends/onnx/import/import.ts";
import type { OnnxNode } from "../src/backends/onnx/schema.ts";
import { compareOutputs } from "../src/backends/ort/compare-outputs.ts";
import { checkAgainst } from "../src/check.ts";
import { type CompileOptions, compile } from "../src/compile.ts";
import { einsum, input, matmul, model, param, softmax } from "../src/dsl/index.ts";
import { graphOf } from "../src/ir/arena.ts";
import { QkvError } from "../src/ir/diagnostics.ts";
import { hostTensor } from "../src/ir/tensor.ts";
import type { Pass } from "../src/passes/pass.ts";
import { checkRunnable, runModel, session } from "../src/session.ts";
import { graph, info, modelOf, node, tensor } from "./import/support.ts";

const scores = model("scores", () => {
  const x = input("x", "f32", ["seq", 3]);
  return { y: softmax(einsum("i d, j d -> i j", x, matmul(x, param("w", [3, 3])))) };
});
const rows = (length: number) => new Map([["x", hostTensor("f32", [length, 3], new Float32Array(3 * length).fill(1))]]);

const codeOf = async (run: () => unknown): Promise<string> => {
  try {
    await run();
  } catch (error) {
    return error instanceof QkvError ? error.code : String(error);
  }
  return "nothing was thrown";
};

test("a session runs a compiled model again and again", async () => {
  const open = await session(await compile(scores));
  try {
    for (const length of [1, 17, 33]) {
      const y = (await open.run(rows(length))).get("y")!;
      expect(y.dims).toEqual([length, length]);
      // All rows of x are equal, so all keys weigh alike.
      expect(y.data[0]).toBeCloseTo(1 / length, 6);
    }
  } finally {
    await open.close();
  }
});

describe("inputs without elements", () => {
  test("are refused where the runtime's Einsum would transpose them, which ends the process", async () => {
    const model = (await compile(scores, { naive: true })).onnx();
    const turn = (each: OnnxNode): OnnxNode =>
      each.opType === "Einsum"
        ? { ...each, attributes: new Map([["equation", { kind: "string", value: "...a, b...a -> ...ab" }]]) }
        : each;
    const turned = { ...model, graph: { ...model.graph, nodes: model.graph.nodes.map(turn) } };
    expect(await codeOf(() => runModel(turned, rows(0)))).toBe("QKV509");
    expect(await codeOf(() => checkRunnable(turned, rows(1)))).toBe("nothing was thrown");
    expect(await codeOf(() => checkRunnable(model, rows(0)))).toBe("nothing was thrown");
  });
  test.each([true, false])("run elsewhere, naive: %s", async (naive) => {
    const { onnx } = await compile(scores, { naive });
    expect((await runModel(onnx(), rows(0))).get("y")!.dims).toEqual([0, 0]);
  });
});

describe("the check before a file is written", () => {
  const naive = () => compile(scores, { naive: true });
  test("passes what gives equal outputs", async () => {
    expect(await checkAgainst(await naive(), await compile(scores))).toBe(true);
  });
  const doubling: Pass = {
    name: "doubling",
    doc: "Wrong on purpose.",
    run: (graph, { arena }) =>
      graphOf(
        graph.name,
        graph.inputs,
        graph.outputs.map(({ name, value }) => [name, arena.build.add(value, value)]),
      ),
  };
  test("refuses what does not", async () => {
    expect(await codeOf(async () => checkAgainst(await naive(), await compile(scores, { passes: [doubling] })))).toBe(
      "QKV506",
    );
  });
  describe("of weights in 8 bits, whose products the runtime's optimiser computes less exactly", () => {
    const weights = Array.from({ length: 64 * 32 }, (_, i) => ((i * 37) % 255) - 127);
    const nodes = [node("DequantizeLinear", ["w", "scale"], ["wide"]), node("MatMul", ["x", "wide"], ["y"])];
    const constants = [tensor("w", "i8", [64, 32], weights), tensor("scale", "f32", [], [0.01])];
    const file = modelOf(graph(nodes, [info("x", "f32", ["n", 64])], [info("y", "f32", ["n", 32])], constants), 17);
    const compiledFrom = async (options: CompileOptions) => compile(importModel(file), options);
    test("passes what it does to both alike", async () => {
      const declared = await compiledFrom({ naive: true });
      const x = new Map([
        [
          "x",
          hostTensor(
            "f32",
            [3, 64],
            Float32Array.from({ length: 192 }, (_, i) => Math.sin(i)),
          ),
        ],
      ]);
      const [plain, optimised] = [
        await runModel(declared.onnx(), x, { level: "disabled" }),
        await runModel(declared.onnx(), x),
      ];
      expect(compareOutputs(plain, optimised).equal).toBe(false);
      expect(await checkAgainst(declared, await compiledFrom({}))).toBe(true);
    });
    test("refuses what a pass does wrong", async () => {
      const declared = await compiledFrom({ naive: true });
      expect(await codeOf(async () => checkAgainst(declared, await compiledFrom({ passes: [doubling] })))).toBe(
        "QKV506",
      );
    });
    test("is written in operators the runtime loads, moved or not", async () => {
      const shape = tensor("shape", "i64", [2], [32, 64]);
      const turned = modelOf(
        graph(
          [
            node("DequantizeLinear", ["w", "scale", "zero"], ["wide"]),
            node("Reshape", ["wide", "shape"], ["rows"]),
            node("Add", ["x", "rows"], ["y"]),
          ],
          [info("x", "f32", [32, 64])],
          [info("y", "f32", [32, 64])],
          [...constants, shape, tensor("zero", "i8", [], [0])],
        ),
        17,
      );
      const x = new Map([["x", hostTensor("f32", [32, 64], new Float32Array(2048))]]);
      for (const [target, opset, domain] of [
        ["ort-cpu", 23, "com.microsoft"],
        ["onnx", 20, ""],
      ] as const) {
        const compiled = await compile(importModel(turned), { target });
        expect(compiled.target.opset).toBe(opset);
        const onnx = compiled.onnx();
        expect(onnx.graph.nodes.find(({ opType }) => opType === "DequantizeLinear")?.domain).toBe(domain);
        for (const level of ["disabled", "all"] as const)
          expect((await runModel(onnx, x, { level })).get("y")!.data[0]).toBeCloseTo(weights[0]! * 0.01, 5);
        expect((await runModel((await compile(importModel(onnx), {})).onnx(), x)).get("y")!.dims).toEqual([32, 64]);
      }
      expect(await codeOf(() => compile(importModel(turned), { target: "onnx", opset: 23 }))).toBe("QKV466");
    });
  });
});
