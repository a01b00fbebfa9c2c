import { describe, expect, test } from "vitest";
import { attention, elu, input, linearAttention, model, type Tensor } from "../../src/dsl/index.ts";
import { compile, randomFeeds } from "../../src/index.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { toFloat64 } from "../../src/ir/tensor.ts";
import { runModel } from "../../src/session.ts";

const q = () => input("q", "f32", ["batch", 2, "seq", 4]);
const k = () => input("k", "f32", ["batch", 2, "seq", 4]);
const v = () => input("v", "f32", ["batch", 2, "seq", 3]);
const gate = (...dims: (number | string)[]) => input("gate", "f32", dims);

describe("linearAttention", () => {
  test("without gates it is causal attention without a normaliser", async () => {
    const both = model("both", {}, () => {
      const operands = [q(), k(), v()] as const;
      return {
        state: linearAttention(...operands, { scale: 0.5 }),
        pairs: attention(...operands, { scale: 0.5, causal: true, normaliser: "none" }),
      };
    });
    const { declared } = await compile(both, { naive: true });
    const feeds = randomFeeds(declared, new Map(Object.entries({ batch: 2, seq: 9 })), 1);
    const out = evaluateGraph(declared, feeds);
    const [state, pairs] = [out.get("state")!.data, out.get("pairs")!.data];
    for (const [i, value] of state.entries()) expect(value).toBeCloseTo(pairs[i]!, 12);
  });

  const refused: Readonly<Record<string, readonly [code: string, body: () => Tensor]>> = {
    "queries of three axes": ["QKV110", () => linearAttention(input("x", "f32", ["batch", "seq", 4]), k(), v())],
    "keys of another width": ["QKV107", () => linearAttention(q(), input("x", "f32", ["batch", 2, "seq", 5]), v())],
    "values of another length": ["QKV107", () => linearAttention(q(), k(), input("x", "f32", ["batch", 2, "keys", 3]))],
    "keys of another type": ["QKV109", () => linearAttention(q(), input("x", "f64", ["batch", 2, "seq", 4]), v())],
    integers: ["QKV109", () => linearAttention(q().cast("i32"), k().cast("i32"), v().cast("i32"))],
    "a decay of another type": [
      "QKV109",
      () => linearAttention(q(), k(), v(), { logDecay: gate("batch", 2, "seq", 4).cast("f16") }),
    ],
    "a decay of three axes": ["QKV107", () => linearAttention(q(), k(), v(), { logDecay: gate("batch", 2, "seq") })],
    "a rate for each element": ["QKV107", () => linearAttention(q(), k(), v(), { rate: gate("batch", 2, "seq", 4) })],
    "a scale that is no number": ["QKV120", () => linearAttention(q(), k(), v(), { scale: Number.NaN })],
    "a misspelt option": ["QKV120", () => linearAttention(q(), k(), v(), { decay: gate(1, 1, 1, 1) } as never)],
  };
  test.each(Object.entries(refused))("%s is refused where it stands", (_, [code, body]) => {
    expect(() => model("wrong", {}, body).build()).toThrow(
      expect.objectContaining({ code, details: expect.objectContaining({ location: expect.anything() }) }),
    );
  });
});

test("elu", async () => {
  const declared = model("elus", {}, () => {
    const x = input("x", "f32", ["seq"]);
    return { one: elu(x.mul(100)), half: elu(x, { alpha: 0.5 }) };
  });
  const compiled = await compile(declared);
  const feeds = randomFeeds(compiled.declared, new Map([["seq", 65]]), 1);
  const x = toFloat64(feeds.get("x")!);
  const out = await runModel(compiled.onnx(), feeds);
  for (const [i, value] of x.entries()) {
    const big = Math.fround(value * 100);
    expect(out.get("one")!.data[i]).toBeCloseTo(big > 0 ? big : Math.exp(big) - 1, 4);
    expect(out.get("half")!.data[i]).toBeCloseTo(value > 0 ? value : 0.5 * (Math.exp(value) - 1), 5);
  }
  expect(() => model("wrong", {}, () => elu(input("x", "f32", [3]), { alpha: Number.NaN })).build()).toThrow(
    expect.objectContaining({ code: "QKV120" }),
  );
});
