import { simplify } from "onnxsim";
import { describe, expect, it } from "vitest";
import { decodeModel } from "../../../src/backends/onnx/decode.ts";
import { encodeModel } from "../../../src/backends/onnx/encode.ts";
import { type ExportContext, exportGraph } from "../../../src/backends/onnx/export.ts";
import { openSession } from "../../../src/backends/ort/session.ts";
import { Arena, graphOf } from "../../../src/ir/arena.ts";
import { QkvError } from "../../../src/ir/diagnostics.ts";
import { add, type Dim, mul, symbol } from "../../../src/ir/dim.ts";
import type { Graph, Value } from "../../../src/ir/graph.ts";
import { fromNumbers, type HostTensor } from "../../../src/ir/tensor.ts";
import { check, count, operators, ortCpu, reader, standard, tensor } from "./support/check.ts";

const [b, s] = [symbol("b"), symbol("s")];

/** A transformer layer on [b, s, width], as a model file would declare it. */
function layer(arena: Arena, x: Value, name: string, width: number, heads: number): Value {
  const { build } = arena;
  const param = (part: string, ...shape: number[]) => build.param({ name: `${name}.${part}`, dtype: "f32", shape });
  const linear = (value: Value, part: string, from: number, to: number) =>
    build.add(
      build.contract(value, param(`${part}.weight`, to, from), { spec: "b s i, o i -> b s o" }),
      param(`${part}.bias`, to),
    );
  const [q, k, v] = ["q", "k", "v"].map((part) => linear(x, part, width, width)) as [Value, Value, Value];
  const mixed = build.packedAttention(q, k, v, { heads, kvHeads: heads, scale: 1 / Math.sqrt(width / heads) });
  const attended = arena.node("skipLayerNorm", [
    linear(mixed, "out", width, width),
    x,
    param("n1.weight", width),
    param("n1.bias", width),
  ]).results[0]!;
  const inner = build.gelu(linear(attended, "up", width, 4 * width));
  arena.hint(inner, { name: "inner" });
  return build.layerNorm(
    build.add(linear(inner, "down", 4 * width, width), attended),
    param("n2.weight", width),
    param("n2.bias", width),
  );
}

function encoder(arena: Arena, layers: number, width = 16, heads = 2): Graph {
  const input = arena.build.input({ name: "tokens", dtype: "f32", shape: [b, s, width] });
  let x = input;
  for (let i = 0; i < layers; i++) x = layer(arena, x, `layers.${i}`, width, heads);
  return graphOf("encoder", [input], [["embeddings", x]]);
}

function weightsOf(graph: Graph): ExportContext["weights"] {
  const shapes = new Map<string, readonly number[]>();
  const stack = graph.outputs.map(({ value }) => value);
  const seen = new Set<Value>(stack);
  while (stack.length > 0) {
    const { node } = stack.pop()!;
    if (node.op === "param") shapes.set(String(node.attrs.get("name")), node.results[0]!.type.shape as number[]);
    for (const value of node.operands)
      if (!seen.has(value)) {
        seen.add(value);
        stack.push(value);
      }
  }
  return { read: (name) => tensor("f32", shapes.get(name)!, name.length) };
}

const exported = (graph: Graph, arena: Arena, options: Partial<ExportContext> = {}) =>
  exportGraph(graph, { arena, target: standard(), weights: weightsOf(graph), ...options });

const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof QkvError) return error.code;
    throw error;
  }
  return "none";
};

describe("versions", () => {
  it.each([17, 18, 19, 20, 21, 22, 23, 24])("opset %i runs", async (opset) => {
    for (const target of [standard(opset), ortCpu(opset)]) {
      const arena = new Arena();
      const graph = encoder(arena, 2);
      const model = exported(graph, arena, { target });
      expect(model.opsetImports[0]).toEqual({ domain: "", version: opset });
      expect(model.opsetImports.length).toBe(target.contrib ? 2 : 1);
      const outputs: HostTensor[] = [];
      for (const level of ["disabled", "basic", "extended", "all"] as const) {
        const session = await openSession(encodeModel(model).model, { level, threads: 1 });
        const result = await session.run(new Map([["tokens", tensor("f32", [3, 17, 16])]]));
        outputs.push(result.get("embeddings")!);
        await session.close();
      }
      for (const output of outputs)
        output.data.forEach((value, i) => {
          expect(Math.abs(Number(value) - Number(outputs[0]!.data[i]))).toBeLessThan(1e-5);
        });
    }
  });
  it.each([16, 27, 0, 17.5])("opset %s is refused", (opset) => {
    const arena = new Arena();
    expect(code(() => exported(encoder(arena, 1), arena, { target: standard(opset) }))).toBe("QKV465");
  });
});

describe("names", () => {
  const arena = () => {
    const made = new Arena();
    const x = made.build.input({ name: "x", dtype: "f32", shape: [b, s, 4] });
    return { arena: made, build: made.build, x };
  };
  it("come from the author's variables, for nodes and tensors", () => {
    const { arena: a, build, x } = arena();
    const scores = build.contract(x, x, { spec: "b i d, b j d -> b i j" });
    const probs = build.softmax(scores);
    a.hint(scores, { name: "scores" });
    a.hint(probs, { name: "scores" });
    const model = exported(graphOf("g", [x], [["y", build.exp(build.exp(probs))]]), a);
    expect(model.graph.nodes.map(({ name, outputs }) => [name, ...outputs])).toEqual([
      ["scores/Transpose", "scores/Transpose"],
      ["scores", "scores"],
      ["scores_1", "scores_1"],
      ["exp", "exp"],
      ["y", "y"],
    ]);
  });
  it("of inputs, outputs and weights are kept to the letter, whatever else wants them", async () => {
    const { arena: a, build, x } = arena();
    const w = build.param({ name: "layer.0:w", dtype: "f32", shape: [4] });
    const sum = build.add(x, w);
    a.hint(sum, { name: "y" });
    const graph = graphOf(
      "g",
      [x],
      [
        ["y", build.neg(sum)],
        ["constructor", sum],
      ],
    );
    const model = await check(a, graph, new Map([["x", tensor("f32", [1, 2, 4])]]), standard(), {
      weights: new Map([["layer.0:w", tensor("f32", [4])]]),
    });
    expect(model.graph.initializers.map(({ name }) => name)).toEqual(["layer.0:w"]);
    expect(model.graph.outputs.map(({ name }) => name)).toEqual(["y", "constructor"]);
  });
  it("that ONNX cannot hold are refused for inputs and outputs", () => {
    const { arena: a, x } = arena();
    for (const name of ["", "a b", "nul\u0000", "x"])
      expect(
        code(() => exported(graphOf("g", [x], [[name, a.build.neg(x)]]), a)),
        JSON.stringify(name),
      ).toBe("QKV461");
    const y = a.build.neg(x);
    expect(
      code(() =>
        exported(
          graphOf(
            "g",
            [x],
            [
              ["y", y],
              ["y", y],
            ],
          ),
          a,
        ),
      ),
    ).toBe("QKV461");
  });
  it("give every output its own tensor: inputs, weights, constants and repeats are copied", async () => {
    const { arena: a, build, x } = arena();
    const y = build.neg(x);
    const w = build.param({ name: "w", dtype: "f32", shape: [3] });
    const graph = graphOf(
      "g",
      [x],
      [
        ["o0", x],
        ["o1", w],
        ["o2", build.scalar(2, "f32")],
        ["o3", y],
        ["o4", y],
      ],
    );
    const weights = new Map([["w", tensor("f32", [3])]]);
    const model = await check(a, graph, new Map([["x", tensor("f32", [1, 2, 4])]]), standard(), { weights });
    expect(operators(model)).toEqual(["Neg", "Identity", "Identity", "Identity", "Identity"]);
  });
  it("of dimensions are kept, composite ones as formulas", () => {
    const a = new Arena();
    const x = a.build.input({ name: "x", dtype: "f32", shape: [add(symbol("past"), s), mul(2, b)] });
    const model = exported(graphOf("g", [x], [["y", a.build.neg(x)]]), a);
    expect(model.graph.outputs[0]).toMatchObject({ name: "y", dtype: "f32", shape: ["past + s", "2*b"] });
  });
});

describe("the file", () => {
  it("is the same bytes for the same input", () => {
    const bytes = [0, 1].map(() => {
      const arena = new Arena();
      const model = exported(encoder(arena, 3), arena, {
        target: ortCpu(),
        metadata: new Map([
          ["source", "encoder.ts"],
          ["passes", "none"],
        ]),
        producerVersion: "0.1.0",
      });
      return encodeModel(model).model;
    });
    expect(Buffer.compare(bytes[0]!, bytes[1]!)).toBe(0);
    const decoded = decodeModel(bytes[0]!);
    expect([decoded.producerName, decoded.producerVersion]).toEqual(["qkv", "0.1.0"]);
    expect([...decoded.metadata]).toEqual([
      ["source", "encoder.ts"],
      ["passes", "none"],
    ]);
  });
  it("declares the types of intermediate tensors unless told not to", () => {
    const arena = new Arena();
    const graph = encoder(arena, 1);
    const model = exported(graph, arena);
    expect(model.graph.valueInfo.length).toBe(model.graph.nodes.flatMap(({ outputs }) => outputs).length - 1);
    expect(exported(graph, arena, { valueInfo: false }).graph.valueInfo).toEqual([]);
  });
  it("holds each weight once, brought into place, and no weight that is not used", () => {
    const arena = new Arena();
    const graph = encoder(arena, 2);
    const model = exported(graph, arena);
    expect(count(model, "Transpose")).toBe(2 * 5);
    const names = model.graph.initializers.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const floats = model.graph.initializers
      .filter(({ dtype }) => dtype === "f32")
      .reduce((n, { bytes }) => n + ("byteLength" in bytes ? bytes.byteLength / 4 : 0), 0);
    expect(floats).toBeLessThan(2 * (12 * 16 * 16 + 13 * 16) + 20);
  });
  it("keeps the name of a weight that is used as it is, and names it once", () => {
    const arena = new Arena();
    const { build } = arena;
    const x = build.input({ name: "x", dtype: "f32", shape: [b, 4] });
    const w = build.param({ name: "w", dtype: "f32", shape: [4, 4] });
    const both = build.add(
      build.contract(x, w, { spec: "b i, i o -> b o" }),
      build.contract(x, w, { spec: "b i, o i -> b o" }),
    );
    const model = exported(graphOf("g", [x], [["y", build.add(both, build.reduceSum(w, { axes: [0] }))]]), arena);
    expect(model.graph.initializers.filter(({ dtype }) => dtype === "f32").map(({ name }) => name)).toEqual([
      "w",
      "w/moved",
    ]);
  });
  it("refuses weights of another shape", () => {
    const arena = new Arena();
    const w = arena.build.param({ name: "w", dtype: "f32", shape: [3] });
    const weights = reader(new Map([["w", tensor("f32", [4])]]));
    expect(code(() => exported(graphOf("g", [], [["y", arena.build.neg(w)]]), arena, { weights }))).toBe("QKV463");
  });
  it("refuses dimensions no input gives", () => {
    const arena = new Arena();
    expect(code(() => exported(graphOf("g", [], [["y", arena.build.iota({ size: s })]]), arena))).toBe("QKV462");
  });
  it("casts weights to the declared element type", async () => {
    const arena = new Arena();
    const w = arena.build.param({ name: "w", dtype: "f32", shape: [3] });
    const half = fromNumbers("f16", [3], [1, 2, 3]);
    const model = exported(graphOf("g", [], [["y", arena.build.neg(w)]]), arena, {
      weights: reader(new Map([["w", half]])),
    });
    expect(model.graph.initializers[0]).toMatchObject({ name: "w", dtype: "f32" });
  });
});

describe("the independent checker", () => {
  it.each([17, 20, 23])("accepts a standard model of opset %i", async (opset) => {
    const arena = new Arena();
    const { model } = await simplify(
      encodeModel(exported(encoder(arena, 1), arena, { target: standard(opset) })).model,
    );
    expect(decodeModel(model).graph.nodes.length).toBeGreaterThan(10);
  });
  it("accepts branches, dimensions and sums as written", async () => {
    const arena = new Arena();
    const { build } = arena;
    const x = build.input({ name: "x", dtype: "f32", shape: [b, s, 4] });
    const inner = build.input({ name: "c", dtype: "f32", shape: [b, s, 4] });
    const condition = build.less(build.size({ of: s }), build.scalar(8, "i64"));
    const chosen = arena.node("if", [condition, x], {
      whenTrue: graphOf("double", [inner], [["r", build.add(inner, inner)]]),
      whenFalse: graphOf("same", [inner], [["r", inner]]),
    }).results[0]!;
    const product = build.einsum(chosen, x, { spec: "b i d, b j d -> b i j" });
    const flat = build.reshape(product, { shape: [mul(b, s), s] });
    const graph = graphOf("g", [x], [["y", build.pad(flat, { axis: 1, low: 0, high: s })]]);
    await check(arena, graph, new Map([["x", tensor("f32", [2, 5, 4])]]), standard());
    await simplify(encodeModel(exported(graph, arena)).model);
  });
});

describe("branches", () => {
  it("read captures, weights and dimensions of the outer graph, and may nest", async () => {
    const arena = new Arena();
    const { build } = arena;
    const x = build.input({ name: "x", dtype: "f32", shape: [b, s] });
    const w = build.param({ name: "w", dtype: "f32", shape: [1] });
    const inner = build.input({ name: "c", dtype: "f32", shape: [b, s] });
    const counted = build.mul(inner, build.cast(build.size({ of: s }), { to: "f32" }));
    const deep = graphOf("deep", [inner], [["r", build.add(inner, w)]]);
    const same = graphOf("same", [inner], [["r", inner]]);
    const nested = arena.node("if", [build.less(build.size({ of: b }), build.scalar(3, "i64")), inner], {
      whenTrue: deep,
      whenFalse: same,
    }).results[0]!;
    const whenTrue = graphOf(
      "short",
      [inner],
      [
        ["p", counted],
        ["q", nested],
      ],
    );
    const whenFalse = graphOf(
      "long",
      [inner],
      [
        ["p", inner],
        ["q", inner],
      ],
    );
    const chosen = arena.node("if", [build.less(build.size({ of: s }), build.scalar(8, "i64")), build.neg(x)], {
      whenTrue,
      whenFalse,
    });
    const graph = graphOf(
      "g",
      [x],
      [
        ["y", chosen.results[0]!],
        ["z", build.exp(chosen.results[1]!)],
      ],
    );
    for (const [rows, columns] of [
      [2, 5],
      [2, 17],
      [4, 5],
    ] as const)
      await check(arena, graph, new Map([["x", tensor("f32", [rows, columns])]]), standard(), {
        weights: new Map([["w", tensor("f32", [1])]]),
      });
  });
});

describe("what the runtime gets wrong", () => {
  it.each([
    ["b k s, s k -> b", 2, 0],
    ["b k s, s k -> b", 0, 3],
    ["b k s, k s b -> s k", 0, 0],
    ["b k s, b s k -> b k", 2, 0],
  ])(
    "einsum of empty operands: %s at %i and %i, which ends the process where it transposes them",
    async (spec, rows, places) => {
      const arena = new Arena();
      const { build } = arena;
      const sizes = new Map<string, Dim>([
        ["b", b],
        ["s", s],
        ["k", 3],
      ]);
      const at = new Map([
        ["b", rows],
        ["s", places],
        ["k", 3],
      ]);
      const operands = spec
        .split(" ->")[0]!
        .split(", ")
        .map((labels) => labels.split(" "));
      const inputs = operands.map((labels, i) =>
        build.input({ name: `x${i}`, dtype: "f32", shape: labels.map((label) => sizes.get(label)!) }),
      );
      const graph = graphOf("g", inputs, [["y", build.einsum(...inputs, { spec })]]);
      const feeds = operands.map(
        (labels, i) =>
          [
            `x${i}`,
            tensor(
              "f32",
              labels.map((label) => at.get(label)!),
            ),
          ] as const,
      );
      await check(arena, graph, new Map(feeds), standard());
    },
  );

  it("inference of the width of an attention inside a branch: types of what is in between are declared", async () => {
    const arena = new Arena();
    const { build } = arena;
    const widths = [12, 6, 9];
    const named = (prefix: string) =>
      widths.map((width, i) => build.input({ name: `${prefix}${i}`, dtype: "f32", shape: [b, s, width] }));
    const branch = (name: string, scale: number) => {
      const inner = named(`${name}.`);
      const [q, k, v] = inner as [Value, Value, Value];
      const mixed = build.packedAttention(q, k, v, { heads: 6, kvHeads: 3, scale });
      const w = build.constant({ value: tensor("f32", [18, 5]) });
      return graphOf(name, inner, [["r", build.contract(mixed, w, { spec: "b s i, i o -> b s o" })]]);
    };
    const inputs = named("x");
    const chosen = arena.node("if", [build.less(build.size({ of: s }), build.scalar(4, "i64")), ...inputs], {
      whenTrue: branch("short", 0.5),
      whenFalse: branch("long", 0.25),
    });
    const graph = graphOf("g", inputs, [["y", chosen.results[0]!]]);
    const feeds = new Map(widths.map((width, i) => [`x${i}`, tensor("f32", [2, 3, width])]));
    await check(arena, graph, feeds, ortCpu(24));
  });
});

describe("size", () => {
  it("100,000 nodes in a chain, and in one wide sum, are no trouble", () => {
    const arena = new Arena();
    const x = arena.build.input({ name: "x", dtype: "f32", shape: [4] });
    let y = x;
    for (let i = 0; i < 50_000; i++) y = arena.build.neg(arena.build.add(y, x));
    expect(exported(graphOf("g", [x], [["y", y]]), arena).graph.nodes.length).toBe(100_000);
    const parts = Array.from({ length: 1000 }, (_, i) => arena.build.mul(x, arena.build.scalar(i + 1, "f32")));
    expect(
      exported(graphOf("g", [x], [["y", arena.build.concat(...parts, { axis: 0 })]]), arena).graph.nodes.length,
    ).toBe(1001);
  });
});
