import { type Arena, graphOf } from "../../../src/ir/arena.ts";
import { symbol } from "../../../src/ir/dim.ts";
import type { Graph, Value } from "../../../src/ir/graph.ts";
import { parseFormula } from "../../../src/ir/index-expr/text.ts";
import type { OpName } from "../../../src/ir/ops/index.ts";
import { fromNumbers } from "../../../src/ir/tensor.ts";
import { typeOf, valuesOf } from "./types.ts";

/** Operand types and attributes an op is tried with. `attrs` may need an arena, to build graphs in. */
export interface Sample {
  readonly types: readonly string[];
  readonly attrs?: Readonly<Record<string, unknown>> | ((arena: Arena) => Readonly<Record<string, unknown>>);
  /** Floats above zero only. */
  readonly positive?: boolean;
}

/** A node of the sample, on inputs `x0`, `x1`, …. */
export function build(arena: Arena, op: string, { types, attrs }: Sample) {
  const inputs = types.map((text, i) => arena.build.input({ name: `x${i}`, ...typeOf(text) }));
  return { inputs, node: arena.node(op, inputs, typeof attrs === "function" ? attrs(arena) : attrs) };
}

const of = (...types: string[]): Sample => ({ types });
const on = (types: readonly string[], attrs: Sample["attrs"] & object): Sample => ({ types, attrs });

/** How many are true in the sample of that size: test values of the first operand have seed 17. */
const trueCount = (dims: readonly number[]): number => valuesOf("bool", dims, 17).data.reduce((a, b) => a + b, 0);

const S = symbol("S");
const T = symbol("T");
const B = symbol("B");

const float = [
  of("f32[]"),
  of("f32[1]"),
  of("f64[15, 17]"),
  of("f16[31]"),
  of("bf16[33]"),
  of("f32[0, 64]"),
  of("f32[B, S, 65]"),
];
const positive = float.map((sample) => ({ ...sample, positive: true }));
const numeric = [...float, of("i64[17]"), of("i32[S]")];
const pairs = [
  of("f32[]", "f32[]"),
  of("f64[15, 17]", "f64[17]"),
  of("f32[1, 31]", "f32[33, 1]"),
  of("f32[64, 1]", "f32[]"),
  of("f16[B, 1, S]", "f16[T, 1]"),
  of("f32[0, 65]", "f32[65]"),
  of("f32[0]", "f32[1]"),
  of("f32[2, 1, 3]", "f32[1, 5, 1]"),
];
const numericPairs = [...pairs, of("i64[17]", "i64[17]"), of("i32[S]", "i32[1]")];
const bools = [of("bool[]", "bool[]"), of("bool[15, 1]", "bool[17]"), of("bool[S, 0]", "bool[1]")];

const reductions = [
  on(["f32[15, 17]"], { axes: [0] }),
  on(["f32[15, 17]"], { axes: [-1], keepDims: true }),
  on(["f64[2, 3, 5]"], { axes: [0, 2] }),
  on(["f64[2, 3, 5]"], { axes: [1, -1], keepDims: true }),
  on(["f32[B, S, 33]"], { axes: [1] }),
  on(["f32[0, 4]"], { axes: [0] }),
  on(["f32[31]"], { axes: [0] }),
  on(["f32[7]"], { axes: [] }),
];
const integerReductions = [...reductions, on(["i64[17, S]"], { axes: [1] })];

const contractions = [
  on(["f32[2, 17, 31]", "f32[2, 31, 15]"], { spec: "b i k, b k j -> b i j" }),
  on(["f32[2, 3, S, 4]", "f32[2, 3, S, 4]"], { spec: "b h q d, b h q d -> b q" }),
  on(["f32[5, 5]"], { spec: "i i -> i" }),
  on(["f32[5, 5]"], { spec: "i i -> " }),
  on(["f32[S, T]"], { spec: "s t -> t s" }),
  on(["f32[]", "f32[3]"], { spec: ", i -> i" }),
  on(["f32[2, 3]", "f32[3, 65]", "f32[65, 1]"], { spec: "a b, b c, c d -> a d" }),
  on(["f32[2, 3]", "f32[4]"], { spec: "a b, c -> c a" }),
  on(["i64[3, 4]", "i64[4]"], { spec: "a b, b -> a" }),
  on(["f32[0, 4]", "f32[4, 3]"], { spec: "a b, b c -> a c" }),
  on(["f32[2, 0]", "f32[0, 3]"], { spec: "a b, b c -> a c" }),
  on(["f64[2, 2, 3]", "f64[3, 3, 2]"], { spec: "a a b, b b a -> b" }),
];

const alongAxis = [
  of("f32[15, 17]"),
  on(["f32[15, 17]"], { axis: 0 }),
  on(["f64[2, 33, 3]"], { axis: 1 }),
  on(["f32[B, S]"], { axis: -1 }),
  of("f32[1]"),
  of("f32[0, 64]"),
  of("f32[4, 0]"),
];

const norms = (...gains: string[]) => [
  { types: ["f32[2, 17]", ...gains.map(() => "f32[17]")] },
  { types: ["f64[B, S, 64]", ...gains.map(() => "f64[64]")], attrs: { epsilon: 1e-12 } },
  { types: ["f32[0, 5]", ...gains.map(() => "f32[5]")] },
  { types: ["f32[3, 1]", ...gains.map(() => "f32[1]")] },
];
const skips = (...gains: string[]) =>
  norms(...gains).map((sample) => ({ ...sample, types: [sample.types[0]!, ...sample.types] }));

const scale = { scale: 0.5 };
const heads = ["f32[2, 3, 17, 4]", "f32[2, 3, 15, 4]", "f32[2, 3, 15, 8]"];
const attentions = [
  on(heads, scale),
  on(heads, { ...scale, causal: true }),
  on(heads, { ...scale, normaliser: "none" }),
  on(["f32[B, 4, S, 8]", "f32[B, 2, T, 8]", "f32[B, 2, T, 8]"], { ...scale, causal: true }),
  on(["f32[B, 6, S, 8]", "f32[B, 1, T, 8]", "f32[B, 1, T, 3]"], scale),
  on([...heads, "bool[2, 1, 1, 15]"], scale),
  on([...heads, "f32[1, 3, 17, 15]"], scale),
  on([...heads, "bool[1, 1, 17, 15]", "f32[1, 1, 1, 15]"], { ...scale, causal: true }),
  on([...heads, "f32[1, 1, 1, 15]", "bool[1, 1, 17, 15]"], { ...scale, normaliser: "none" }),
  on(["f64[1, 2, 0, 4]", "f64[1, 2, 3, 4]", "f64[1, 2, 3, 4]"], scale),
  on(["f64[1, 2, 3, 4]", "f64[1, 2, 1, 4]", "f64[1, 2, 1, 4]"], { ...scale, causal: true }),
  on(heads, { ...scale, normaliser: "sigmoid", causal: true }),
  on([...heads, "bool[2, 1, 17, 15]"], { ...scale, normaliser: "sum" }),
  on(heads, { ...scale, mask: parseFormula("q - k < 4 && h !== 1") }),
  on([...heads, "f32[3]", "i64[17]"], {
    ...scale,
    causal: true,
    mask: parseFormula("table1[q] % 3 === 1 || k < 2"),
    score: parseFormula("5 * Math.tanh(s / 5) - table0[h] * (q - k)"),
    prob: parseFormula("s * s"),
    tables: 2,
  }),
  on(["f32[B, 4, S, 8]", "f32[B, 2, T, 8]", "f32[B, 2, T, 8]", "bool[B, S]"], {
    ...scale,
    mask: parseFormula("table0[b][q]"),
    score: parseFormula("k === 0 ? -Infinity : s"),
    tables: 1,
  }),
];
const weighing = [
  on(heads, scale),
  on([...heads, "f32[1, 3, 17, 15]"], scale),
  on([...heads, "f32[1, 1, 17, 15]"], { ...scale, causal: true }),
  on(["f32[B, 4, S, 8]", "f32[B, 2, S, 8]", "f32[B, 2, S, 8]"], { ...scale, causal: true }),
  on(["f32[B, 6, S, 8]", "f32[B, 1, T, 8]", "f32[B, 1, T, 3]", "f32[B, 1, 1, T]"], scale),
  on(["f64[1, 2, 0, 4]", "f64[1, 2, 3, 4]", "f64[1, 2, 3, 4]"], scale),
  on(["f64[1, 2, 3, 4]", "f64[1, 2, 1, 4]", "f64[1, 2, 1, 4]"], { ...scale, causal: true }),
];
const packed = [
  on(["f32[2, 17, 12]", "f32[2, 15, 12]", "f32[2, 15, 24]"], { heads: 3, kvHeads: 3, ...scale }),
  on(["f32[B, S, 32]", "f32[B, T, 16]", "f32[B, T, 16]"], { heads: 4, kvHeads: 2, ...scale, causal: true }),
  on(["f32[B, S, 8]", "f32[B, T, 8]", "f32[B, T, 8]", "bool[B, 1, S, T]"], { heads: 2, kvHeads: 2, ...scale }),
  on(["f32[B, S, 8]", "f32[B, T, 8]", "f32[B, T, 8]"], {
    heads: 2,
    kvHeads: 2,
    ...scale,
    score: parseFormula("s - h * k"),
  }),
];

/** A graph that takes values of `types` and answers what `body` makes of them. */
export function branch(
  arena: Arena,
  name: string,
  types: readonly string[],
  body: (xs: readonly Value[]) => Value,
): Graph {
  const inputs = types.map((text, i) => arena.build.input({ name: `in${i}`, ...typeOf(text) }));
  return graphOf(name, inputs, [["out", body(inputs)]]);
}

const branches = (types: readonly string[]) => (arena: Arena) => ({
  whenTrue: branch(arena, "yes", types, ([x]) => arena.build.neg(x!)),
  whenFalse: branch(arena, "no", types, ([x]) => arena.build.mul(x!, x!)),
});

/** S ← S · x + captured, and the old S is stacked; or, with two states and two sequences, sums and products. */
const steps: Readonly<Record<string, (b: Arena["build"], xs: readonly Value[]) => readonly Value[]>> = {
  affine: (b, [s, x, c]) => [b.add(b.mul(s!, x!), c!), s!],
  pair: (b, [s, p, x, y]) => [b.add(s!, x!), b.mul(p!, y!), b.sub(x!, y!), b.neg(s!)],
  last: (_, [, x]) => [x!],
};

const scanning =
  (step: keyof typeof steps, types: readonly string[], states: number, sequences: number) => (arena: Arena) => {
    const inputs = types.map((text, i) => arena.build.input({ name: `in${i}`, ...typeOf(text) }));
    const answers = steps[step]!(arena.build, inputs).map((value, i) => [`out${i}`, value] as const);
    return { body: graphOf(step, inputs, answers), states, sequences };
  };

const tensor = (...values: number[]) => ({ value: fromNumbers("f32", [values.length], values) });

/** At least one sample for every op that the reference evaluates. */
export const samples: Readonly<Record<OpName, readonly Sample[]>> = {
  input: [],
  param: [],
  opaque: [],
  constant: [on([], tensor(1, 2, 3)), on([], tensor()), on([], { value: fromNumbers("i64", [], [7]) })],
  iota: [on([], { size: 5 }), on([], { size: S }), on([], { size: 0, dtype: "f32" })],
  size: [on([], { of: 5 }), on([], { of: S })],
  neg: numeric,
  abs: numeric,
  sign: numeric,
  exp: float,
  log: positive,
  sqrt: positive,
  erf: float,
  tanh: float,
  sin: float,
  cos: float,
  sigmoid: float,
  floor: float,
  ceil: float,
  round: float,
  not: [of("bool[]"), of("bool[17]"), of("bool[0]")],
  add: numericPairs,
  sub: numericPairs,
  mul: numericPairs,
  div: numericPairs,
  pow: numericPairs.map((sample) => ({ ...sample, positive: true })),
  max: numericPairs,
  min: numericPairs,
  mod: numericPairs,
  equal: [...numericPairs, ...bools],
  less: numericPairs,
  lessEqual: numericPairs,
  and: bools,
  or: bools,
  select: [
    of("bool[]", "f32[17]", "f32[]"),
    of("bool[15, 1]", "f32[1, 17]", "f32[]"),
    of("bool[S]", "i64[1]", "i64[S]"),
    of("bool[0]", "f32[1]", "f32[0]"),
    of("bool[3, 1, 5]", "f32[1, 4, 1]", "f32[5]"),
  ],
  cast: [
    on(["f32[17]"], { to: "i64" }),
    on(["f32[17]"], { to: "bool" }),
    on(["bool[S]"], { to: "f16" }),
    on(["i32[]"], { to: "f64" }),
  ],
  reduceSum: integerReductions,
  reduceMax: integerReductions,
  reduceMin: integerReductions,
  reduceMean: reductions,
  cumsum: [
    on(["f32[15, 17]"], { axis: 0 }),
    on(["f64[2, 33, 3]"], { axis: 1, exclusive: true }),
    on(["f32[B, S]"], { axis: -1, reverse: true }),
    on(["f32[5, 1]"], { axis: 1, exclusive: true, reverse: true }),
    on(["i64[0, 4]"], { axis: 0 }),
  ],
  reshape: [
    on(["f32[15, 17]"], { shape: [17, 15] }),
    on(["f32[B, S, 64]"], { shape: [B, S, 4, 16] }),
    on(["f32[]"], { shape: [1, 1] }),
    on(["f32[0, 3]"], { shape: [7, 0] }),
  ],
  refine: [on(["f32[2, 3]"], { shape: [2, 3] }), on(["i64[B, S]"], { shape: [B, S] }), on(["f32[]"], { shape: [] })],
  transpose: [
    on(["f32[2, S, 17]"], { perm: [2, 0, 1] }),
    on(["f32[]"], { perm: [] }),
    on(["f32[0, 5]"], { perm: [1, 0] }),
    on(["f32[2, 3, 4, 5]"], { perm: [0, 2, 1, 3] }),
  ],
  broadcast: [
    on(["f32[17]"], { shape: [15, 17] }),
    on(["f32[S, 1]"], { shape: [B, S, T] }),
    on(["f32[]"], { shape: [] }),
    on(["f32[1]"], { shape: [0] }),
  ],
  slice: [
    on(["f32[17, 5]"], { axis: 0, start: 3, end: 16 }),
    on(["f32[4, S]"], { axis: -1, start: 1, end: S }),
    on(["f32[past + S]"], { axis: 0, start: symbol("past"), end: symbol("past") }),
    on(["f32[2, 3, 4]"], { axis: 1, start: 0, end: 0 }),
  ],
  concat: [
    on(["f32[2, 17]", "f32[3, 17]"], { axis: 0 }),
    on(["f32[B, S]", "f32[B, T]", "f32[B, S]"], { axis: -1 }),
    on(["f32[1]"], { axis: 0 }),
    on(["f32[0, 3]", "f32[4, 3]"], { axis: 0 }),
  ],
  split: [
    on(["f32[17, 3]"], { axis: 0, sizes: [1, 15, 1] }),
    on(["f32[2, S]"], { axis: 1, sizes: [S] }),
    on(["f32[past + S, 2]"], { axis: 0, sizes: [symbol("past"), S] }),
    on(["f32[3]"], { axis: 0, sizes: [0, 3] }),
  ],
  pad: [
    on(["f32[17, 2]"], { axis: 0, low: 1, high: 2 }),
    on(["f32[2, S]"], { axis: -1, low: T, high: 0, value: -1 }),
    on(["f32[0]"], { axis: 0, low: 0, high: 3 }),
  ],
  gather: [
    on(["f32[17, 3]", "i64[5]"], { axis: 0 }),
    of("f32[31]", "i32[]"),
    on(["f32[2, 15, 3]", "i64[S, T]"], { axis: 1 }),
    on(["f32[2, 5]", "i64[0]"], { axis: -1 }),
    on(["f32[B, S, 17]", "i64[B, T]"], { axis: 1, batch: 1 }),
    on(["f64[2, 3, 5]", "i32[2, 3, 7]"], { axis: -1, batch: 2 }),
    on(["f64[2, 3, 5, 4]", "i64[2, 1, 3]"], { axis: 2, batch: 1 }),
    on(["f32[0, 5]", "i64[0, 2]"], { axis: 1, batch: 1 }),
  ],
  scatter: [
    of("f64[17, 3]", "i64[5]", "f64[5, 3]"),
    on(["f64[5]", "i64[]", "f64[]"], { reduction: "add" }),
    on(["f64[17, 3]", "i64[2, 5]", "f64[2, 5, 3]"], { reduction: "add" }),
    on(["f32[B, S, 17]", "i64[B, T]", "f32[B, T, 17]"], { axis: 1, batch: 1, reduction: "add" }),
    on(["f64[2, 3, 5]", "i32[2, 3, 7]", "f64[2, 3, 7]"], { axis: -1, batch: 2, reduction: "add" }),
    on(["f64[2, 3, 5, 4]", "i64[2, 1, 3]", "f64[2, 3, 1, 3, 4]"], { axis: 2, batch: 1, reduction: "add" }),
    on(["i64[5]", "i64[S]", "i64[S]"], {}),
    on(["f32[5]", "i64[0]", "f32[0]"], { reduction: "add" }),
  ],
  flatNonZero: [
    on(["bool[33]"], { count: trueCount([33]) }),
    on(["bool[15, 17, 1]"], { count: trueCount([15, 17, 1]) }),
    on(["bool[S, B]"], { count: trueCount([5, 2]) }),
    on(["bool[0, 4]"], { count: 0 }),
  ],
  topK: [
    on(["f64[15, 17]"], { k: 3 }),
    on(["f64[15, 17]"], { k: 15, axis: 0, largest: false }),
    on(["f64[2, 33, 3]"], { k: 33, axis: 1 }),
    on(["f32[B, S]"], { k: S, largest: false }),
    on(["f32[B, past + S]"], { k: T }),
    on(["i64[3, 5]"], { k: 2 }),
    on(["f32[1]"], { k: 1 }),
    on(["f32[3, 4]"], { k: 0 }),
    on(["f32[0, 4]"], { k: 2 }),
  ],
  contract: contractions,
  einsum: contractions,
  softmax: alongAxis,
  logSoftmax: alongAxis,
  attention: attentions,
  attentionWithWeights: weighing,
  packedAttention: packed,
  linearAttention: [
    on(["f32[2, 3, 17, 4]", "f32[2, 3, 17, 4]", "f32[2, 3, 17, 5]"], scale),
    on(["f32[B, 2, S, 4]", "f32[B, 2, S, 4]", "f32[B, 2, S, 4]", "f32[1, 2, 1, 1]"], { ...scale, decay: true }),
    on(["f64[1, 2, 5, 4]", "f64[1, 2, 5, 4]", "f64[1, 2, 5, 3]", "f64[1, 2, 5, 4]"], { ...scale, decay: true }),
    on(["f64[1, 2, 5, 4]", "f64[1, 2, 5, 4]", "f64[1, 2, 5, 3]", "f64[1, 2, 5, 1]"], { ...scale, delta: true }),
    on(["f32[B, 1, S, 4]", "f32[B, 1, S, 4]", "f32[B, 1, S, 4]", "f32[B, 1, S, 1]", "f32[1, 1, S, 1]"], {
      ...scale,
      decay: true,
      delta: true,
    }),
  ],
  layerNorm: [...norms("scale", "bias"), ...norms("scale")],
  rmsNorm: norms("scale"),
  skipLayerNorm: [...skips("scale", "bias"), ...skips("scale", "bias", "inputBias")],
  skipRmsNorm: skips("scale"),
  relu: float,
  elu: [...float, on(["f64[33]"], { alpha: 0.5 })],
  gelu: [...float, on(["f64[33]"], { approximate: "tanh" })],
  silu: float,
  biasGelu: [of("f32[15, 17]", "f32[17]"), of("f64[B, S, 1]", "f64[1]"), of("f32[0]", "f32[0]")],
  rope: [
    of("f32[2, 3, S, 8]", "f32[S, 4]", "f32[S, 4]"),
    on(["f32[2, 3, 17, 8]", "f32[17, 4]", "f32[17, 4]"], { interleaved: true }),
    of("f64[1, 1, 0, 2]", "f64[0, 1]", "f64[0, 1]"),
  ],
  if: [
    { types: ["bool[]", "f32[17]"], attrs: branches(["f32[17]"]) },
    { types: ["bool[]", "f32[S, 2]"], attrs: branches(["f32[S, 2]"]) },
  ],
  scan: [
    { types: ["f32[3]", "f32[7, 3]", "f32[3]"], attrs: scanning("affine", ["f32[3]", "f32[3]", "f32[3]"], 1, 1) },
    { types: ["f32[B]", "f32[S, B]", "f32[B]"], attrs: scanning("affine", ["f32[B]", "f32[B]", "f32[B]"], 1, 1) },
    {
      types: ["f64[2, 1]", "f64[2, 1]", "f64[5, 2, 1]", "f64[5, 2, 1]"],
      attrs: scanning("pair", ["f64[2, 1]", "f64[2, 1]", "f64[2, 1]", "f64[2, 1]"], 2, 2),
    },
    { types: ["f32[]", "f32[1]"], attrs: scanning("last", ["f32[]", "f32[]"], 1, 1) },
    { types: ["f32[3]", "f32[0, 3]", "f32[3]"], attrs: scanning("affine", ["f32[3]", "f32[3]", "f32[3]"], 1, 1) },
  ],
};

/** A sample that breaks one numbered constraint. */
export type Breaks = Readonly<Record<string, Sample>>;

const notFloat = { C1: of("i64[3]") };
const notNumber = { C1: of("bool[3]") };
const mixedPair = { C1: of("f32[3]", "f16[3]"), C2: of("f32[3]", "f32[4]"), C3: of("bool[3]", "bool[3]") };
const comparison = { C1: of("f32[3]", "f16[3]"), C2: of("f32[S]", "f32[T]") };
const logic = { C1: of("bool[3]", "f32[3]"), C2: of("bool[3]", "bool[4]") };
const reduction = { C1: on(["bool[3]"], { axes: [0] }), C2: on(["f32[3]"], { axes: [0, -1] }) };
const contraction = {
  C1: on(["f32[3, 3]"], { spec: "i -> i" }),
  C2: on(["f32[3]", "f64[3]"], { spec: "i, i -> i" }),
  C3: on(["f32[3]", "f32[S]"], { spec: "i, i -> i" }),
};
const normaliser = { C1: of("i64[3]"), C2: on(["f32[3]"], { axis: 1 }) };
const norm = (...more: string[]) => ({
  C1: of("i64[2, 3]", ...more.map(() => "i64[3]")),
  C2: of("f32[2, 3]", ...more.map(() => "f32[2]")),
});
const skip = (...more: string[]) => ({
  C1: of("i64[2, 3]", "i64[2, 3]", ...more.map(() => "i64[3]")),
  C2: of("f32[2, 3]", "f32[2, 3]", ...more.map(() => "f32[1]")),
  C3: of("f32[2, 3]", "f32[2, 1]", ...more.map(() => "f32[3]")),
});
const qkv = "f32[2, 4, 5, 8]";
const attentionBreaks = {
  C1: on([qkv, qkv, "f64[2, 4, 5, 8]"], scale),
  C2: on([qkv, "f32[2, 4, 6, 8]", qkv], scale),
  C3: on([qkv, "f32[2, 3, 5, 8]", "f32[2, 3, 5, 8]"], scale),
  C4: on([qkv, qkv, qkv, "bool[2, 1, 1, 6]"], scale),
  C5: on([qkv, qkv, qkv], { ...scale, normaliser: "tanh" }),
  C6: on([qkv, qkv, qkv, "f32[9]"], { ...scale, score: parseFormula("s + table1[q]"), tables: 1 }),
};
const flat = "f32[2, 5, 8]";
const two = { heads: 2, kvHeads: 2, ...scale };

const picking = (...updates: string[]) => ({
  C1: on(["f32[3]", "i64[2]", ...updates], { axis: 2 }),
  C2: of("f32[3]", "f32[2]", ...updates),
  C3: on(["f32[3, 4]", "i64[2, 1]", ...updates], { axis: 1, batch: 1 }),
});

/** A case for each constraint of each op. */
export const breaks: Readonly<Record<OpName, Breaks>> = {
  input: {},
  param: { C1: on([], { name: "w", dtype: "f32", shape: [S] }) },
  constant: {},
  iota: {},
  size: {},
  neg: notNumber,
  abs: notNumber,
  sign: notNumber,
  exp: notFloat,
  log: notFloat,
  sqrt: notFloat,
  erf: notFloat,
  tanh: notFloat,
  sin: notFloat,
  cos: notFloat,
  sigmoid: notFloat,
  floor: notFloat,
  ceil: notFloat,
  round: notFloat,
  not: { C1: of("f32[3]") },
  add: mixedPair,
  sub: mixedPair,
  mul: mixedPair,
  div: mixedPair,
  pow: mixedPair,
  max: mixedPair,
  min: mixedPair,
  mod: mixedPair,
  equal: comparison,
  less: comparison,
  lessEqual: comparison,
  and: logic,
  or: logic,
  select: {
    C1: of("bool[3]", "f32[3]", "f64[3]"),
    C2: of("bool[3]", "f32[4]", "f32[4]"),
    C3: of("f32[3]", "f32[3]", "f32[3]"),
  },
  cast: {},
  reduceSum: reduction,
  reduceMax: reduction,
  reduceMin: reduction,
  reduceMean: { ...reduction, C1: on(["i64[3]"], { axes: [0] }) },
  cumsum: { C1: on(["bool[3]"], { axis: 0 }), C2: on(["f32[3]"], { axis: 1 }) },
  reshape: { C1: on(["f32[S]"], { shape: [T] }) },
  refine: { C1: on(["f32[2]"], { shape: [1, 2] }) },
  transpose: { C1: on(["f32[2, 3]"], { perm: [0, 0] }) },
  broadcast: { C1: on(["f32[2, 3]"], { shape: [3] }) },
  slice: {
    C1: on(["f32[3]"], { axis: 1, start: 0, end: 1 }),
    C2: on(["f32[3]"], { axis: 0, start: 2, end: 4 }),
  },
  concat: {
    C1: on([], { axis: 0 }),
    C2: on(["f32[3]"], { axis: -2 }),
    C3: on(["f32[3, 2]", "f32[3, 4]"], { axis: 0 }),
  },
  split: {
    C1: on(["f32[3]"], { axis: 7, sizes: [3] }),
    C2: on(["f32[n]"], { axis: 0, sizes: [1, 1] }),
  },
  pad: { C1: on(["f32[3]"], { axis: 1, low: 0, high: 0 }), C2: on(["f32[3]"], { axis: 0, low: -1, high: 0 }) },
  gather: picking(),
  scatter: {
    ...picking("f32[2]"),
    C4: of("f32[3]", "i64[2]", "f32[3]"),
    C5: on(["bool[3]", "i64[2]", "bool[2]"], { reduction: "add" }),
  },
  opaque: { C1: on(["f32[3]"], { code: "", dtypes: "f32 i64", ranks: [1], dims: [3] }) },
  flatNonZero: { C1: on(["i64[3]"], { count: 3 }) },
  topK: { C1: on(["bool[3]"], { k: 1 }), C2: on(["f32[3]"], { k: 1, axis: 1 }), C3: on(["f32[3]"], { k: 4 }) },
  contract: contraction,
  einsum: contraction,
  softmax: normaliser,
  logSoftmax: normaliser,
  attention: attentionBreaks,
  attentionWithWeights: {
    C1: attentionBreaks.C1,
    C2: attentionBreaks.C2,
    C3: attentionBreaks.C3,
    C4: attentionBreaks.C4,
  },
  packedAttention: {
    C1: on([flat, flat, "f64[2, 5, 8]"], two),
    C2: on([flat, "f32[2, 6, 8]", flat], two),
    C3: on(["f32[2, 5, 12]", flat, flat], { heads: 3, kvHeads: 2, ...scale }),
    C4: on([flat, flat, flat, "bool[2, 1, 1, 6]"], two),
    C5: on([flat, flat, flat], { ...two, normaliser: "tanh" }),
    C6: on([flat, flat, flat], { ...two, tables: 1 }),
    C7: on([flat, flat, flat], { heads: 3, kvHeads: 3, ...scale }),
  },
  linearAttention: {
    C1: on([qkv, qkv, "f64[2, 4, 5, 8]"], scale),
    C2: on([qkv, "f32[2, 4, 6, 8]", qkv], scale),
    C3: on([qkv, qkv, qkv, "f32[2, 4, 5, 8]"], { ...scale, delta: true }),
  },
  layerNorm: norm("scale", "bias"),
  rmsNorm: norm("scale"),
  skipLayerNorm: skip("scale", "bias"),
  skipRmsNorm: skip("scale"),
  relu: notFloat,
  elu: notFloat,
  gelu: { ...notFloat, C2: on(["f32[3]"], { approximate: "fast" }) },
  silu: notFloat,
  biasGelu: { C1: of("i64[3]", "i64[3]"), C2: of("f32[3]", "f32[4]") },
  rope: {
    C1: of("f32[4]", "f64[2]", "f64[2]"),
    C2: of("f32[3]", "f32[1]", "f32[1]"),
    C3: of("f32[4]", "f32[4]", "f32[2]"),
  },
  if: {
    C1: { types: ["f32[]", "f32[3]"], attrs: branches(["f32[3]"]) },
    C2: { types: ["bool[]", "f32[3]"], attrs: branches(["f32[4]"]) },
    C3: {
      types: ["bool[]", "f32[3]"],
      attrs: (arena) => ({
        ...branches(["f32[3]"])(arena),
        whenFalse: branch(arena, "no", ["f32[3]"], ([x]) => arena.build.reduceSum(x!, { axes: [0] })),
      }),
    },
  },
  scan: {
    C1: {
      types: ["f32[]", "f32[]", "f32[5]", "f32[6]"],
      attrs: scanning("pair", ["f32[]", "f32[]", "f32[]", "f32[]"], 2, 2),
    },
    C2: { types: ["f32[3]", "f32[7, 4]", "f32[3]"], attrs: scanning("affine", ["f32[3]", "f32[3]", "f32[3]"], 1, 1) },
    C3: { types: ["f32[3]", "f32[7]"], attrs: scanning("last", ["f32[3]", "f32[]"], 1, 1) },
  },
};
