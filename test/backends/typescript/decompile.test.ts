import { describe, expect, test } from "vitest";
import encoder from "../../../models/encoder.ts";
import linearAttention from "../../../models/linear-attention.ts";
import mla from "../../../models/mla.ts";
import t5 from "../../../models/variants/t5-bias.ts";
import transformerXl from "../../../models/variants/transformer-xl.ts";
import { decompile } from "../../../src/backends/typescript/decompile.ts";
import type { Built, Model } from "../../../src/dsl/model.ts";
import {
  cond,
  constant,
  greater,
  input,
  linear,
  model,
  onnx,
  onnxResults,
  op,
  opResults,
  param,
  scan,
  scope,
  sum,
  type Tensor,
} from "../../../src/index.ts";
import { Arena } from "../../../src/ir/arena.ts";
import { sameGraph } from "../../../src/ir/equal.ts";
import { parseGraph } from "../../../src/ir/parse.ts";
import { printGraph } from "../../../src/ir/print.ts";
import { defaultPassOptions } from "../../../src/passes/pass.ts";
import { optimise, runPipeline } from "../../../src/passes/pipeline.ts";
import { onnxTarget } from "../../../src/passes/target.ts";
import { normalForm } from "./support/normal-form.ts";
import { rebuild } from "./support/rebuild.ts";

/** The text of what a source builds, beside that of the graph it was written from. */
async function expectSame(built: Pick<Built, "graph" | "arena">): Promise<string> {
  const { source, tensors, built: again } = await rebuild(built);
  const [before, after] = [normalForm(built.graph), normalForm(again.graph, tensors)];
  if (!sameGraph(before, after)) expect(printGraph(after)).toBe(printGraph(before));
  return source;
}

describe("a declared model comes back, node for node", () => {
  const models: readonly (readonly [string, Model])[] = [
    ["encoder", encoder as unknown as Model],
    ["mla", mla as unknown as Model],
    ["t5-bias, whose score reads a table by a table", t5 as unknown as Model],
    ["transformer-xl, whose formulas know lengths", transformerXl as unknown as Model],
  ];
  test.each(models)("%s", async (_, declared) => {
    await expectSame(declared.build());
  });
});

test("a graph after all passes comes back: products ahead of time and all", async () => {
  const { graph, arena } = encoder.build({ layers: 2 });
  const target = onnxTarget();
  const cx = { arena, target, dims: new Map(), options: { ...defaultPassOptions, dispatch: true } };
  const optimised = await runPipeline(graph, optimise, cx);
  await expectSame({ graph: optimised.graph, arena });
});

test("attention of heads side by side is written with its heads apart", async () => {
  const arena = new Arena();
  const text = (body: string) =>
    parseGraph(`graph @g(%q: f32[b, s, 8], %k: f32[b, t, 4]) {\n${body}\n  return %y\n}\n`, arena);
  const packed = text("  %y: f32[b, s, 8] = packedAttention(%q, %k, %k) {heads = 4, kvHeads = 2, scale = 0.5}");
  const { built, source } = await rebuild({ graph: packed, arena });
  expect(source).toContain(
    "merge(attention(heads(q, settings.heads), heads(k, kvHeads), heads(k, kvHeads), { scale: 0.5 }))",
  );
  const apart = text(`  %q4: f32[b, s, 4, 2] = reshape(%q)
  %qh: f32[b, 4, s, 2] = transpose(%q4) {perm = [0, 2, 1, 3]}
  %k4: f32[b, t, 2, 2] = reshape(%k)
  %kh: f32[b, 2, t, 2] = transpose(%k4) {perm = [0, 2, 1, 3]}
  %a: f32[b, 4, s, 2] = attention(%qh, %kh, %kh) {scale = 0.5}
  %at: f32[b, s, 4, 2] = transpose(%a) {perm = [0, 2, 1, 3]}
  %y: f32[b, s, 8] = reshape(%at)`);
  expect(sameGraph(built.graph, apart)).toBe(true);
});

test("recurrences and branches come back as functions", async () => {
  const declared = model("control", () => {
    const x = input("x", "f32", ["seq", 4]);
    const w = param("w", [4, 4]);
    const start = constant([0, 0, 0, 0]);
    const rolled = scan({ h: start }, { x }, ({ h }, { x: now }) => {
      const next = now.add(h).mul(sum(w, { axes: 0 }));
      return { states: { h: next }, outputs: { y: next.tanh() } };
    });
    const chosen = cond(
      greater(sum(x, { axes: [0, 1] }), 0),
      () => ({ large: rolled.outputs.y!.exp(), small: x }),
      () => ({ large: x.mul(2), small: rolled.outputs.y! }),
      { expected: "whenTrue" },
    );
    return { last: rolled.states.h, ...chosen };
  });
  const source = await expectSame(declared.build());
  expect(source).toContain("scan({ h: ");
  expect(source).toContain('{ expected: "whenTrue" }');
});

test("every op of the IR that no function makes is written by its name", async () => {
  const declared = model("ops", () => {
    const x = input("x", "f32", ["n", 4]);
    const bias = param("bias", [4]);
    const skipped = opResults("skipLayerNorm", [x, x, bias, bias]);
    const [sums] = skipped.slice(1);
    const found = op("flatNonZero", [greater(x, 0)], { count: "found" });
    return { y: op("biasGelu", [skipped[0]!, bias]), sums: sums!, found };
  });
  const source = await expectSame(declared.build());
  expect(source).toContain('op("flatNonZero", [less(0, x)], { count: "found" })');
});

describe("what authors would not write", () => {
  test("names that are no identifiers, reserved, or numbers keep their order and their text", async () => {
    const declared = model('odd "name"', () => {
      const a = input("class", "f32", [2]);
      const b = input("7 of/9", "f32", [2]);
      const c = input("é.…", "f32", [2]);
      const d = param("constructor", [2]);
      return new Map([
        ["b", a.add(b)],
        ["10", b.mul(c)],
        ["9", c.mul(d)],
        ["__proto__", d.exp()],
      ]);
    });
    const source = await expectSame(declared.build());
    expect(source).toContain("new Map<string, Tensor>([");
  });
  test("numbers of every kind, exactly", async () => {
    const declared = model("numbers", () => {
      const x = input("x", "f32", [2]);
      const exact = [0.1, -0, 1e-40, 3.4028234663852886e38, Number.NaN, Number.NEGATIVE_INFINITY];
      const half = constant([[0.1, 65504]], "f16").cast("f32");
      const whole = constant([9007199254740991, -1], "i64").cast("f32");
      const truth = constant([true, false], "bool").cast("f32");
      return { y: exact.reduce<Tensor>((y, value) => y.add(value), x), half, whole, truth };
    });
    await expectSame(declared.build());
  });
  test("large constants become parameters, whose tensors come along", async () => {
    const declared = model("large", () => {
      const x = input("x", "f32", [100]);
      const taken = param("constants.0", [100]);
      return { y: x.add(constant(Array.from({ length: 100 }, (_, i) => i / 7))).add(taken) };
    });
    const { tensors, source } = await rebuild(declared.build());
    expect([...tensors.keys()]).toEqual(["constants.0_1"]);
    expect(source).not.toContain("0.14285");
    await expectSame(declared.build());
  });
  test("a scope's names that are not the layer's: no loop, and all names whole", async () => {
    const declared = model("shared", () => {
      let x: Tensor = input("x", "f32", ["n", 4]);
      const shared = param("layers.0.shared", [4]);
      for (let i = 0; i < 2; i++) x = scope(`layers.${i}`, () => linear(x, 4, { name: "w" }).add(shared));
      return { y: x };
    });
    await expectSame(declared.build());
  });
});

describe("loops", () => {
  const layer = (x: Tensor, i: number) => scope(`layers.${i}`, () => linear(x, 4, { name: "w" }).tanh());
  test("what every layer leaves is kept in a list", async () => {
    const declared = model("kept", () => {
      const states: Tensor[] = [input("x", "f32", ["n", 4])];
      for (let i = 0; i < 3; i++) states.push(layer(states[i]!, i));
      return { a: states[1]!, b: states[2]!, c: states[3]!.exp() };
    });
    const source = await expectSame(declared.build());
    expect(source).toContain("for (let i = 0; i < layers; i++)");
    expect(source).toMatch(/push\(/);
  });
  test("values that differ from layer to layer come in by the layer's number", async () => {
    const declared = model("caches", () => {
      let x: Tensor = input("x", "f32", ["n", 4]);
      const past = Array.from({ length: 3 }, (_, i) => input(`past.${i}.key`, "f32", ["n", 4]));
      for (let i = 0; i < 3; i++) x = layer(x.add(past[i]!), i);
      return { y: x };
    });
    const source = await expectSame(declared.build());
    expect(source).toContain("[i]!");
  });
  test("stacks of other numbers of layers are called after what they do not share", async () => {
    const stack = (x: Tensor, prefix: string, count: number) =>
      Array.from({ length: count }).reduce((y: Tensor, _, i) => scope(`${prefix}.${i}`, () => layer(y, 0)), x);
    const declared = model("stacks", () => {
      const placed = stack(input("x", "f32", ["n", 4]), "model.encoder.pos_embed.layers", 2);
      return { y: stack(stack(placed, "model.encoder.layers", 3), "model.layers", 4) };
    });
    const source = await expectSame(declared.build());
    expect(source).toContain("{ posEmbedLayers: 2, encoderLayers: 3, modelLayers: 4");
  });
  test("layers that are not alike are no loop", async () => {
    const declared = model("unlike", () => {
      const x = input("x", "f32", ["n", 4]);
      return { y: scope("layers.1", () => linear(layer(x, 0), 4, { name: "w" }).exp()) };
    });
    expect(await expectSame(declared.build())).not.toContain("for (");
  });
  test("a layer that reads two before it is no loop", async () => {
    const declared = model("skipping", () => {
      const states: Tensor[] = [input("x", "f32", ["n", 4])];
      for (let i = 0; i < 4; i++)
        states.push(layer(i === 3 ? states[2]!.add(states[1]!) : states[i]!.add(states[i]!), i));
      return { y: states[4]! };
    });
    await expectSame(declared.build());
  });
});

test("equal graphs have equal text, whatever they were made of before", () => {
  const text = () => decompile(linearAttention.build().graph, linearAttention.build().arena).source;
  expect(text()).toBe(text());
});

test("operators of ONNX are written as calls; what has no text of its own as what the file said", async () => {
  const f32 = { dtype: "f32", shape: ["n", 4], opset: 21 } as const;
  const declared = model("operators", () => {
    const x = input("x", "f32", ["n", 4]);
    const [bytes, scale, zero] = onnxResults("DynamicQuantizeLinear", [x], {
      results: [
        { dtype: "u8", shape: ["n", 4] },
        { dtype: "f32", shape: [] },
        { dtype: "u8", shape: [] },
      ],
      opset: 21,
    });
    const back = onnx("DequantizeLinear", [bytes, scale, zero], f32);
    const attributes = { alpha: { float: 2 }, gamma: 0.5, axes: [0, 1], sizes: { floats: [1, 2] }, "of-a": ["b", "c"] };
    const own = onnx("Own", [back, null, x, x], { ...f32, domain: "my.domain", opset: 1, attributes });
    const two = op("opaque", [x], {
      code: '{"node":[{"input":["x1"],"output":["t2"],"opType":"Selu"},{"input":["t2"],"output":["y3"],"opType":"Sign"}],"name":"Sign","input":[{"name":"x1"}],"output":[{"name":"y3"}],"metadataProps":[{"value":"21"}]}',
      dtypes: "f32",
      ranks: [2],
      dims: ["n", 4],
    });
    return { own, two };
  });
  const source = await expectSame(declared.build());
  expect(source).toContain('const [bytes, scale, zero] = onnxResults("DynamicQuantizeLinear", [x], {');
  expect(source).toContain('onnx("Own", [back, null, x, x], {');
  expect(source).toContain("sizes: { floats: [1, 2] }");
  expect(source).toContain('op("opaque", [x], {');
});

const golden = (text: string): string => {
  const arena = new Arena();
  return decompile(parseGraph(text, arena), arena).source;
};

test("golden: two layers and their mask", () => {
  const source = golden(layersText);
  expect(source).toBe(layersSource);
});

const layersText = `graph @tiny(%x: f32[b, s, 8]) {
  %w0: f32[8, 8] = param() {name = "h.0.w.weight"}
  %b0: f32[8] = param() {name = "h.0.w.bias", init = "zeros"}
  %p0: f32[b, s, 8] = contract(%x, %w0) {spec = "a b c, d c -> a b d"}
  %y0: f32[b, s, 8] = add(%p0, %b0)
  %r0: f32[b, s, 2, 4] = reshape(%y0)
  %t0: f32[b, 2, s, 4] = transpose(%r0) {perm = [0, 2, 1, 3]}
  %a0: f32[b, 2, s, 4] = attention(%t0, %t0, %t0) {scale = 0.5, mask = "k <= q && q - k < 3"}
  %m0: f32[b, s, 2, 4] = transpose(%a0) {perm = [0, 2, 1, 3]}
  %z0: f32[b, s, 8] = reshape(%m0)
  %w1: f32[8, 8] = param() {name = "h.1.w.weight"}
  %b1: f32[8] = param() {name = "h.1.w.bias", init = "zeros"}
  %p1: f32[b, s, 8] = contract(%z0, %w1) {spec = "a b c, d c -> a b d"}
  %y1: f32[b, s, 8] = add(%p1, %b1)
  %r1: f32[b, s, 2, 4] = reshape(%y1)
  %t1: f32[b, 2, s, 4] = transpose(%r1) {perm = [0, 2, 1, 3]}
  %a1: f32[b, 2, s, 4] = attention(%t1, %t1, %t1) {scale = 0.5, mask = "k <= q && q - k < 3"}
  %m1: f32[b, s, 2, 4] = transpose(%a1) {perm = [0, 2, 1, 3]}
  %z1: f32[b, s, 8] = reshape(%m1)
  return %z1
}
`;

const layersSource = `import { attention, heads, input, linear, merge, model, scope, type Tensor } from "qkv";

export default model("tiny", { layers: 2, d: 8, heads: 2 }, (settings) => {
  const { layers, d } = settings;
  const x = input("x", "f32", ["b", "s", 8]);

  let x2: Tensor = x;
  for (let i = 0; i < layers; i++) {
    x2 = scope(\`h.\${i}\`, () => {
      const v = heads(linear(x2, d, { name: "w" }), settings.heads);
      return merge(attention(v, v, v, { mask: ({ q, k }) => k <= q && q - k < 3 }));
    });
  }

  return { z1: x2 };
});
`;

test("golden: what stands alone", () => {
  expect(
    golden(`graph @alone(%ids: i64[n], %mask: bool[n]) {
  %t: f32[10, 4] = param() {name = "table.weight"}
  %e: f32[n, 4] = gather(%t, %ids)
  %g: f32[4] = param() {name = "norm.weight", init = "ones"}
  %n: f32[n, 4] = rmsNorm(%e, %g) {epsilon = 1e-6}
  %y: f32[n, 4] = mul(%n, 0.5)
  return %y
}
`),
  ).toBe(`import { embedding, input, model, rmsNorm } from "qkv";

export default model("alone", { vocab: 10 }, ({ vocab }) => {
  const ids = input("ids", "i64", ["n"]);
  input("mask", "bool", ["n"]);

  const norm = rmsNorm(embedding(ids, vocab, 4, { name: "table" }), { name: "norm", epsilon: 0.000001 });
  return { y: norm.mul(0.5) };
});
`);
});
