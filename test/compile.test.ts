import { describe, expect, test } from "vitest";
import encoder from "../models/encoder.ts";
import linearAttention from "../models/linear-attention.ts";
import multiHead from "../models/multi-head.ts";
import slidingWindow from "../models/variants/sliding-window.ts";
import { encodeModel } from "../src/backends/onnx/encode.ts";
import { nodeCount } from "../src/backends/onnx/schema.ts";
import { memoryStore } from "../src/backends/weights/store.ts";
import { compile, paramsOf, resolveTarget } from "../src/compile.ts";
import { input, model, param } from "../src/index.ts";
import { nodesOf } from "../src/ir/graph.ts";
import { fromNumbers } from "../src/ir/tensor.ts";
import { harmless } from "./support/planted.ts";

const opsOf = (graph: Parameters<typeof nodesOf>[0]) => nodesOf(graph).map(({ op }) => op);
const bytes = async (options: Parameters<typeof compile>[1]) =>
  encodeModel((await compile(linearAttention, options)).onnx()).model;

describe("compile", () => {
  test("is the same function of the same input", async () => {
    expect(await bytes({})).toEqual(await bytes({}));
    expect(await bytes({})).toEqual(await bytes({ seed: 0, target: "ort-cpu" }));
    expect(await bytes({ seed: 1 })).not.toEqual(await bytes({}));
  });

  test("leaves the declared graph as it is when naive", async () => {
    const { graph, declared } = await compile(linearAttention, { naive: true });
    expect(graph).toBe(declared);
    expect(opsOf(graph).filter((op) => op === "einsum")).toHaveLength(5);
  });

  test("hints decide and freeze nothing; dims freeze", async () => {
    const inputShape = async (options: Parameters<typeof compile>[1]) =>
      (await compile(linearAttention, options)).graph.inputs[0]!.type.shape[1];
    expect(typeof (await inputShape({ hints: new Map([["seq", 4]]) }))).toBe("object");
    expect(await inputShape({ dims: new Map([["seq", 4]]) })).toBe(4);
  });

  test("hints choose the order of contraction", async () => {
    const flops = async (seq: number) => {
      const { graph } = await compile(linearAttention, { hints: new Map([["seq", seq]]) });
      return nodesOf(graph)
        .filter(({ op }) => op === "contract")
        .some(({ results }) => results[0]!.type.shape.every((dim) => typeof dim === "object"));
    };
    expect(await flops(4096)).toBe(false);
    expect(await flops(4)).toBe(true);
  });

  test("passes by name and as they are; legalise follows", async () => {
    const { steps } = await compile(multiHead, { passes: ["canonicalise", harmless] });
    expect(steps.map(({ pass }) => pass.name)).toEqual(["canonicalise", "harmless", "legalise"]);
  });

  test("without a rule it does not fire", async () => {
    const fired = async (without: readonly string[]) =>
      (
        await compile(encoder, { settings: { layers: 1, d: 32, heads: 2, ffn: 48 }, without: new Set(without) })
      ).steps.flatMap(({ tally }) => [...tally.fired.keys()]);
    const all = await fired([]);
    expect(all.length).toBeGreaterThan(2);
    for (const rule of new Set(all)) expect(await fired([rule])).not.toContain(rule);
  });

  test("weights are checked against the declaration", async () => {
    const small = model("small", {}, () => ({ y: input("x", "f32", ["n", 2]).mul(param("w", [2])) }));
    const store = (dims: readonly number[], name = "w") =>
      memoryStore(new Map([[name, fromNumbers("f32", dims, new Float64Array(dims[0]!).fill(3))]]));
    const { weights } = await compile(small, { weights: store([2]) });
    expect([...weights.read("w").data]).toEqual([3, 3]);
    await expect(compile(small, { weights: store([3]) })).rejects.toMatchObject({ code: "QKV430" });
    await expect(compile(small, { weights: store([2], "v") })).rejects.toMatchObject({ code: "QKV430" });
  });

  test.each([
    [{ target: "tpu" }, "QKV505"],
    [{ passes: ["canonicalize"] }, "QKV301"],
    [{ dims: new Map([["length", 2]]) }, "QKV504"],
    [{ hints: new Map([["length", 2]]) }, "QKV504"],
    [{ settings: { layers: 2 } }, "QKV117"],
  ] as const)("%o is refused", async (options, code) => {
    await expect(compile(linearAttention, options)).rejects.toMatchObject({ code });
  });

  test.each([17, 18, 19, 20, 21, 22, 23, 24, 25, 26])("standard target, operator set %i", async (opset) => {
    const { onnx } = await compile(multiHead, { target: "onnx", opset });
    expect(onnx().opsetImports).toEqual([{ domain: "", version: opset }]);
  });

  test("an operator set that is none", async () => {
    const { onnx } = await compile(linearAttention, { opset: 16 });
    expect(onnx).toThrow(expect.objectContaining({ code: "QKV465" }));
  });

  test("metadata say where the file comes from", async () => {
    const { onnx } = await compile(linearAttention, { source: "mine.ts", passes: ["canonicalise"] });
    expect(Object.fromEntries(onnx().metadata)).toMatchObject({
      "qkv.source": "mine.ts",
      "qkv.target": "ort-cpu",
      "qkv.passes": "canonicalise, legalise",
    });
  });
});

test("parameters of a graph, with names, types and dims", () => {
  const params = paramsOf(linearAttention.build({ d: 8 }).graph);
  expect(
    params.map(({ name, dtype, dims }) => ({ name, dtype, dims })).sort((a, b) => a.name.localeCompare(b.name)),
  ).toEqual(["wk", "wq", "wv"].map((name) => ({ name, dtype: "f32", dims: [8, 8] })));
});

test("naive has no target but its own", () => {
  expect(resolveTarget({ naive: true, target: "onnx", opset: 17 })).toMatchObject({ name: "naive", opset: 17 });
});

test("nodes of branches are counted", async () => {
  const { graph } = (await compile(slidingWindow)).onnx();
  expect(graph.nodes.map(({ opType }) => opType)).toContain("If");
  expect(nodeCount(graph)).toBeGreaterThan(graph.nodes.length + 10);
});
