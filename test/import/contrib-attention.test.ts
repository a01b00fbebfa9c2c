import { expect, test } from "vitest";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import type { OnnxAttribute } from "../../src/backends/onnx/schema.ts";
import { compareOutputs } from "../../src/backends/ort/compare-outputs.ts";
import { compile } from "../../src/compile.ts";
import { fromNumbers, type HostTensor } from "../../src/ir/tensor.ts";
import { runModel } from "../../src/session.ts";
import { graph, info, int, ints, modelOf, node, numbers, roundTrip } from "./support.ts";

interface Case {
  readonly form: string;
  readonly opType?: string;
  /** By operand; undefined where one is left out. */
  readonly operands: readonly (HostTensor | undefined)[];
  readonly results?: readonly string[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
}

const f = (...dims: number[]) => numbers("f32", dims);
const scaled = (factor: number, { dims, data }: HostTensor) =>
  fromNumbers(
    "f32",
    dims,
    Array.from(data as Float32Array, (x, i) => factor * x * Math.cos(i)),
  );
const keep = (dims: readonly number[], ...values: number[]) => fromNumbers("i32", dims, values);
const heads = { num_heads: int(2) };
const present = ["y", "keys", "values"];
const [q, k, v] = [f(2, 3, 8), scaled(0.5, f(2, 5, 8)), scaled(1, f(2, 5, 12))];

const cases: readonly Case[] = [
  { form: "apart", operands: [q, k, v] },
  { form: "with a bias", operands: [q, k, v, f(28)] },
  { form: "an encoder's keys", operands: [q, scaled(0.5, f(2, 2, 5, 4)), f(2, 2, 5, 4)] },
  { form: "a padding mask", operands: [q, k, v, undefined, keep([2, 5], 1, 1, 0, 1, 1, 1, 0, 0, 0, 0)] },
  { form: "lengths", operands: [q, k, v, undefined, keep([2], 3, 5)] },
  { form: "a row that sees nothing", operands: [q, k, v, undefined, keep([2, 5], 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)] },
  {
    form: "a mask for each query",
    operands: [f(1, 2, 8), scaled(0.5, f(1, 3, 8)), f(1, 3, 8), undefined, keep([1, 2, 3], 1, 0, 1, 0, 1, 1)],
  },
  { form: "an added bias", operands: [q, k, v, undefined, undefined, f(1, 2, 3, 5)] },
  {
    form: "a cache",
    operands: [q, scaled(0.5, f(2, 3, 8)), f(2, 3, 8), undefined, undefined, undefined, f(2, 2, 4, 4), f(2, 2, 4, 4)],
    results: present,
  },
  {
    form: "a cache, causal",
    operands: [q, scaled(0.5, f(2, 3, 8)), f(2, 3, 8), undefined, undefined, undefined, f(2, 2, 4, 4), f(2, 2, 4, 4)],
    results: present,
    attributes: { unidirectional: int(1) },
  },
  { form: "causal", operands: [q, scaled(0.5, f(2, 3, 8)), f(2, 3, 8)], attributes: { unidirectional: int(1) } },
  {
    form: "causal, padded on the right",
    operands: [q, scaled(0.5, f(2, 3, 8)), f(2, 3, 8), undefined, keep([2, 3], 1, 1, 0, 1, 0, 0)],
    attributes: { unidirectional: int(1) },
  },
  {
    form: "causal, padded on the left",
    operands: [q, scaled(0.5, f(2, 3, 8)), f(2, 3, 8), undefined, keep([2, 3], 0, 1, 1, 0, 0, 1)],
    attributes: { unidirectional: int(1) },
  },
  {
    form: "merged, causal, padded on the left, with a cache",
    opType: "Attention",
    operands: [
      scaled(0.5, f(2, 3, 6)),
      f(6, 24),
      f(24),
      keep([2, 7], 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1),
      f(2, 2, 2, 4, 4),
    ],
    results: ["y", "cache"],
    attributes: { unidirectional: int(1) },
  },
  { form: "a scale of its own", operands: [q, k, v], attributes: { scale: { kind: "float", value: 0.3 } } },
  { form: "merged", opType: "Attention", operands: [scaled(0.5, f(2, 3, 6)), f(6, 24), f(24)] },
  {
    form: "merged, masked",
    opType: "Attention",
    operands: [scaled(0.5, f(2, 3, 6)), f(6, 24), f(24), keep([2, 3], 1, 1, 0, 1, 0, 0)],
  },
  {
    form: "merged, with lengths",
    opType: "Attention",
    operands: [scaled(0.5, f(2, 3, 6)), f(6, 24), f(24), keep([2], 2, 0)],
  },
  {
    form: "merged, with ends and starts",
    opType: "Attention",
    operands: [scaled(0.5, f(2, 3, 6)), f(6, 24), f(24), keep([4], 3, 2, 1, 0)],
  },
  {
    form: "merged, causal, with a cache",
    opType: "Attention",
    operands: [scaled(0.5, f(2, 3, 6)), f(6, 24), f(24), undefined, f(2, 2, 2, 4, 4)],
    results: ["y", "cache"],
    attributes: { unidirectional: int(1) },
  },
  {
    form: "merged, of sizes of their own",
    opType: "Attention",
    operands: [scaled(0.5, f(2, 3, 6)), f(6, 20), f(20)],
    attributes: { qkv_hidden_sizes: ints(4, 4, 12) },
  },
];

/** q, k and v, or k and v, with the heads' axis before the one that tells them apart. */
function pack(...parts: readonly HostTensor[]): HostTensor {
  const [batch, length, width] = parts[0]!.dims as [number, number, number];
  const each = width / 2;
  const data: number[] = [];
  for (let row = 0; row < batch * length * 2; row++)
    for (const part of parts) data.push(...Array.from((part.data as Float32Array).slice(row * each, (row + 1) * each)));
  return fromNumbers("f32", [batch, length, 2, parts.length, each], data);
}

test.each([
  ["q, k and v", [pack(q, scaled(0.5, q), scaled(1, q))], [q, scaled(0.5, q), scaled(1, q)]],
  ["k and v", [q, pack(k, scaled(1, k))], [q, k, scaled(1, k)]],
])("%s packed, which the runtime does not take", async (_, packed, apart) => {
  const model = (operands: readonly HostTensor[]) => {
    const names = operands.map((_, i) => `x${i}`);
    const infos = operands.map(({ dims }, i) => info(names[i]!, "f32", dims));
    return modelOf(
      graph([node("MultiHeadAttention", names, ["y"], heads, "com.microsoft")], infos, [info("y", "f32", undefined)]),
    );
  };
  const feeds = (operands: readonly HostTensor[]) => new Map(operands.map((tensor, i) => [`x${i}`, tensor]));
  const expected = await runModel(model(apart), feeds(apart), { level: "disabled" });
  for (const naive of [true, false]) {
    const { onnx } = await compile(importModel(model(packed)), { naive });
    expect(compareOutputs(expected, await runModel(onnx(), feeds(packed))).equal).toBe(true);
  }
});

test.each(cases)("$form", async ({ opType = "MultiHeadAttention", operands, results = ["y"], attributes = {} }) => {
  const given = operands.flatMap((tensor, i) => (tensor ? [[`x${i}`, tensor] as const] : []));
  const infos = given.map(([name, { dtype, dims }]) => info(name, dtype, dims));
  const names = operands.map((tensor, i) => (tensor ? `x${i}` : ""));
  const made = node(opType, names, results, { ...heads, ...attributes }, "com.microsoft");
  const model = modelOf(
    graph(
      [made],
      infos,
      results.map((name) => info(name, "f32", undefined)),
    ),
  );
  const { opaque } = await roundTrip(model, Object.fromEntries(given));
  expect(opaque).toEqual([]);
});

const half = (rows: number) => f(rows, 2);

test.each<Case>([
  {
    form: "turned, positions of each token",
    operands: [q, fromNumbers("i64", [2, 3], [0, 1, 2, 4, 5, 6]), half(9), half(9)],
  },
  { form: "turned from a position on", operands: [q, fromNumbers("i64", [1], [3]), half(9), half(9)] },
  {
    form: "turned, heads first, neighbours",
    operands: [f(2, 2, 3, 4), fromNumbers("i64", [1], [0]), half(9), half(9)],
    attributes: { interleaved: int(1) },
  },
  {
    form: "turned in part",
    operands: [f(2, 3, 16), fromNumbers("i64", [2, 3], [2, 1, 0, 4, 5, 6]), half(9), half(9)],
    attributes: { num_heads: int(2), rotary_embedding_dim: int(4) },
  },
])("$form", async ({ operands, attributes = {} }) => {
  const given = operands.map((tensor, i) => [`x${i}`, tensor!] as const);
  const infos = given.map(([name, { dtype, dims }]) => info(name, dtype, dims));
  const made = node(
    "RotaryEmbedding",
    given.map(([name]) => name),
    ["y"],
    attributes,
    "com.microsoft",
  );
  const { opaque } = await roundTrip(
    modelOf(graph([made], infos, [info("y", "f32", undefined)])),
    Object.fromEntries(given),
  );
  expect(opaque).toEqual([]);
});

test("grouped attention stays as it is, and its cache grows to a length of its own", async () => {
  const given: Readonly<Record<string, HostTensor>> = {
    q: f(1, 2, 32),
    k: scaled(0.5, f(1, 2, 16)),
    v: f(1, 2, 16),
    pastK: f(1, 2, 3, 8),
    pastV: scaled(1, f(1, 2, 3, 8)),
    last: fromNumbers("i32", [1], [4]),
    total: fromNumbers("i32", [1], [5]),
  };
  const infos = Object.entries(given).map(([name, { dtype, dims }]) => info(name, dtype, dims));
  const attributes = { num_heads: int(4), kv_num_heads: int(2) };
  const made = node("GroupQueryAttention", Object.keys(given), ["y", "keys", "values"], attributes, "com.microsoft");
  const after = node("Neg", ["keys"], ["less"]);
  const outputs = ["y", "values", "less"].map((name) => ({ name, type: undefined }));
  const { opaque } = await roundTrip(modelOf(graph([made, after], infos, outputs)), given);
  expect(opaque.map(({ operator }) => operator)).toEqual(["com.microsoft.GroupQueryAttention"]);
});
