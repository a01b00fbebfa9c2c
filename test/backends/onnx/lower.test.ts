import { describe, expect, it } from "vitest";
import { Arena, graphOf } from "../../../src/ir/arena.ts";
import { type Dim, symbol } from "../../../src/ir/dim.ts";
import type { DType } from "../../../src/ir/dtype.ts";
import type { Value } from "../../../src/ir/graph.ts";
import { elementwise } from "../../../src/ir/ops/elementwise.ts";
import { elementCount, fromNumbers, type HostTensor } from "../../../src/ir/tensor.ts";
import { check, numbers, ortCpu, standard, tensor } from "./support/check.ts";

const numeric: readonly DType[] = ["f64", "f32", "f16", "i64", "i32", "i8", "u8"];
const floats: readonly DType[] = ["f64", "f32", "f16"];
const two = ["disabled", "all"] as const;

type AnyOp = (...args: unknown[]) => Value;
const apply = (arena: Arena, op: string, ...args: unknown[]): Value =>
  (arena.build as unknown as Record<string, AnyOp>)[op]!(...args);

/** One op on inputs a, b, c of the given types, exported with symbolic or literal dims. */
async function runOp(
  op: string,
  inputs: readonly { readonly dtype: DType; readonly shape: readonly Dim[]; readonly feed: HostTensor }[],
  attrs: unknown[] = [],
  options: Parameters<typeof check>[4] & { contrib?: boolean; opset?: number } = {},
) {
  const arena = new Arena();
  const names = ["a", "b", "c", "d", "e"];
  const values = inputs.map(({ dtype, shape }, i) => arena.build.input({ name: names[i]!, dtype, shape }));
  const result = apply(arena, op, ...values, ...attrs);
  const graph = graphOf(
    "one",
    values,
    result.node.results.map((value, i) => [`y${i}`, value] as const),
  );
  const target = options.contrib ? ortCpu(options.opset) : standard(options.opset);
  return check(arena, graph, new Map(inputs.map(({ feed }, i) => [names[i]!, feed])), target, options);
}

const given = (dtype: DType, dims: readonly number[], seed = 1, shape: readonly Dim[] = dims) => ({
  dtype,
  shape,
  feed: tensor(dtype, dims, seed),
});

const positive = (dtype: DType, dims: readonly number[], seed = 1) => ({
  dtype,
  shape: dims,
  feed: fromNumbers(
    dtype,
    dims,
    numbers(elementCount(dims), seed).map((x) =>
      dtype.startsWith("f") ? Math.abs(x) + 0.5 : 1 + (Math.abs(Math.round(x * 100)) % 3),
    ),
  ),
});

describe("elementwise", () => {
  const unary = ["neg", "abs", "sign"];
  const unaryFloat = ["exp", "sqrt", "erf", "tanh", "sin", "cos", "sigmoid", "floor", "ceil", "round", "log"];
  for (const dtype of numeric)
    it.each(unary)(`%s of ${dtype}`, async (op) => {
      // The reference does not wrap around.
      const x =
        op === "neg" && dtype === "u8"
          ? { dtype, shape: [3], feed: fromNumbers(dtype, [3], [0, 0, 0]) }
          : given(dtype, [3, 17]);
      await runOp(op, [x], [], { levels: two });
    });
  for (const dtype of floats)
    it.each(unaryFloat)(`%s of ${dtype}`, async (op) => {
      // The runtime has no f64 erf: it is computed in f32.
      const tolerance = op === "erf" && dtype === "f64" ? { tolerance: 1e-7 } : {};
      await runOp(op, [positive(dtype, [33])], [], { levels: two, ...tolerance });
    });
  const binary = ["add", "sub", "mul", "div", "pow", "max", "min", "mod", "equal", "less", "lessEqual"];
  for (const dtype of numeric)
    it.each(binary)(`%s of ${dtype} broadcasts`, async (op) => {
      const signed = ["pow", "div", "mod"].includes(op) ? positive(dtype, [17], 2) : given(dtype, [17], 2);
      const x =
        dtype === "u8" && op === "sub"
          ? { dtype, shape: [17], feed: fromNumbers(dtype, [17], new Array(17).fill(9)) }
          : given(dtype, [5, 1, 17]);
      const y =
        dtype === "u8" && op === "pow"
          ? { dtype, shape: [17], feed: fromNumbers(dtype, [17], new Array(17).fill(2)) }
          : signed;
      await runOp(op, [x, y], [], { levels: two });
    });
  it.each(["and", "or", "equal", "less", "lessEqual"])("%s of bool", async (op) => {
    await runOp(op, [given("bool", [5, 3]), given("bool", [3], 2)], [], { levels: two });
  });
  it("not", () => runOp("not", [given("bool", [7])]));
  for (const dtype of [...numeric, "bool"] as const)
    it(`select of ${dtype}`, async () => {
      await runOp("select", [given("bool", [5, 1], 3), given(dtype, [3]), given(dtype, [5, 3], 2)], [], {
        levels: two,
      });
    });
  for (const from of [...numeric, "bool"] as const)
    it.each([...numeric, "bool"] as const)(`cast from ${from} to %s`, async (to) => {
      const x = from === "bool" ? given(from, [9]) : positive(from, [9]);
      await runOp("cast", [x], [{ to }], { levels: two, tolerance: to === "f16" || from === "f16" ? 1e-3 : 1e-6 });
    });
  it("has a case for every op", () => {
    const covered = new Set([...unary, ...unaryFloat, ...binary, "and", "or", "not", "select", "cast"]);
    expect(Object.keys(elementwise).filter((op) => !covered.has(op))).toEqual([]);
  });
  it("propagates NaN through max and min", async () => {
    const feed = fromNumbers("f32", [4], [Number.NaN, 1, -1, Number.NaN]);
    const other = fromNumbers("f32", [4], [0, Number.NaN, 0, Number.NaN]);
    for (const op of ["max", "min"])
      await runOp(op, [
        { dtype: "f32", shape: [4], feed },
        { dtype: "f32", shape: [4], feed: other },
      ]);
  });
  it("mod has the sign of the divisor", async () => {
    for (const dtype of ["f32", "i32"] as const)
      await runOp("mod", [
        { dtype, shape: [6], feed: fromNumbers(dtype, [6], [7, -7, 7, -7, 6, -6]) },
        { dtype, shape: [6], feed: fromNumbers(dtype, [6], [3, 3, -3, -3, 3, -3]) },
      ]);
  });
});

describe("reductions", () => {
  for (const dtype of numeric)
    it.each(["reduceSum", "reduceMax", "reduceMin"])(`%s of ${dtype}`, async (op) => {
      for (const keepDims of [false, true])
        await runOp(op, [given(dtype, [3, 5, 17])], [{ axes: [-1, 0], keepDims }], { levels: two });
    });
  it("reduceMean and no axes", async () => {
    await runOp("reduceMean", [given("f32", [3, 33])], [{ axes: [1] }]);
    await runOp("reduceSum", [given("f32", [3, 33])], [{ axes: [] }]);
    await runOp("reduceSum", [given("f32", [3, 0])], [{ axes: [1] }]);
  });
  for (let opset = 17; opset <= 24; opset++)
    it(`all at opset ${opset}`, async () => {
      for (const op of ["reduceSum", "reduceMax", "reduceMin", "reduceMean"])
        await runOp(op, [given("f32", [2, 15])], [{ axes: [1] }], { opset, levels: two });
    });
});

describe("movement", () => {
  const [b, s, h] = [symbol("b"), symbol("s"), symbol("h")];
  const all = { levels: two };
  it("reshape: constant, copied, inferred, computed, ones", async () => {
    const x = (shape: readonly Dim[], dims: readonly number[]) => given("f32", dims, 1, shape);
    const { mul } = await import("../../../src/ir/dim.ts");
    const cases: [readonly Dim[], readonly number[], readonly Dim[]][] = [
      [
        [6, 4],
        [6, 4],
        [4, 6],
      ],
      [
        [b, s, 12],
        [2, 5, 12],
        [b, s, 3, 4],
      ],
      [
        [b, s, 3, 4],
        [2, 5, 3, 4],
        [mul(b, s), 12],
      ],
      [
        [b, s, 3, 4],
        [2, 5, 3, 4],
        [mul(s, b), 3, 1, 4],
      ],
      [
        [b, s, h],
        [2, 5, 3],
        [b, 1, s, h, 1],
      ],
      [
        [b, 1, s, h, 1],
        [2, 1, 5, 3, 1],
        [b, s, h],
      ],
      [
        [b, s, h],
        [2, 5, 3],
        [h, b, s],
      ],
      [
        [b, s, h],
        [0, 5, 3],
        [mul(b, s), h],
      ],
      [
        [b, s, 12],
        [0, 5, 12],
        [b, s, 3, 4],
      ],
      [
        [b, s, 12],
        [2, 0, 12],
        [mul(b, s), 12],
      ],
      [
        [b, s, 0],
        [2, 5, 0],
        [s, b, 0],
      ],
      [[1, 1], [1, 1], []],
      [[], [], [1, 1, 1]],
      [
        [b, 0],
        [2, 0],
        [0, 5],
      ],
    ];
    for (const [shape, dims, to] of cases) await runOp("reshape", [x(shape, dims)], [{ shape: to }], all);
  });
  it("transpose, broadcast, gather, concat", async () => {
    await runOp("transpose", [given("f32", [3, 5, 17], 1, [b, s, 17])], [{ perm: [2, 0, 1] }]);
    await runOp("transpose", [given("f32", [3, 5])], [{ perm: [0, 1] }], all);
    await runOp("transpose", [given("f32", [])], [{ perm: [] }], all);
    await runOp(
      "broadcast",
      [given("f32", [5, 1], 1, [s, 1]), given("f32", [3], 1, [b])].slice(0, 1),
      [{ shape: [4, s, 7] }],
      all,
    );
    await runOp("broadcast", [given("bool", [1, 1, 5], 1, [1, 1, s])], [{ shape: [2, s, s] }], all);
    await runOp("concat", [given("f32", [3, 2]), given("f32", [3, 5], 2)], [{ axis: -1 }], all);
    const indices = { dtype: "i64" as const, shape: [b, 3], feed: fromNumbers("i64", [2, 3], [0, 4, -1, 2, 2, 0]) };
    await runOp("gather", [given("f32", [5, 4]), indices], [{ axis: 0 }], all);
    await runOp("gather", [given("f32", [4, 5]), indices], [{ axis: -1 }], all);
  });
  it("slice and pad with symbolic bounds", async () => {
    const { add, floorDiv, ceilDiv, mod, max, min, mul, sub } = await import("../../../src/ir/dim.ts");
    const half = floorDiv(s, 2);
    for (const size of [15, 16, 17, 33]) {
      const x = [given("f32", [2, size], 1, [2, s])];
      await runOp("slice", x, [{ axis: 1, start: half, end: s }], all);
      await runOp("slice", x, [{ axis: -1, start: 0, end: half }], all);
      await runOp("slice", x, [{ axis: 1, start: 3, end: add(3, min(s, 4)) }], all);
      await runOp("pad", x, [{ axis: 1, low: sub(mul(8, ceilDiv(s, 8)), s), high: mod(s, 4), value: 2.5 }], all);
      await runOp("pad", x, [{ axis: 0, low: max(s, 16), high: 0 }], all);
    }
    await runOp("slice", [given("i64", [2, 7])], [{ axis: 1, start: 2, end: 5 }], all);
    await runOp("pad", [given("bool", [2, 2])], [{ axis: 1, low: 1, high: 0, value: 1 }], all);
  });
  it("split: all parts, one part, empty parts, symbolic parts", async () => {
    const { sub } = await import("../../../src/ir/dim.ts");
    for (const opset of [17, 18, 24]) {
      await runOp("split", [given("f32", [3, 9])], [{ axis: -1, sizes: [2, 3, 4] }], { opset, levels: two });
      await runOp("split", [given("f32", [3, 9])], [{ axis: 1, sizes: [3, 3, 3] }], { opset, levels: two });
    }
    await runOp("split", [given("f32", [3, 9])], [{ axis: 1, sizes: [9] }], all);
    await runOp("split", [given("f32", [3, 9])], [{ axis: 1, sizes: [0, 9] }], all);
    await runOp("split", [given("f32", [3, 9], 1, [3, s])], [{ axis: 1, sizes: [2, sub(s, 2)] }], all);
    const arena = new Arena();
    const x = arena.build.input({ name: "x", dtype: "f32", shape: [2, 9] });
    const parts = arena.node("split", [x], { axis: 1, sizes: [2, 3, 4] });
    const model = await check(
      arena,
      graphOf("g", [x], [["y", parts.results[1]!]]),
      new Map([["x", tensor("f32", [2, 9])]]),
      standard(),
    );
    expect(model.graph.nodes.map(({ opType }) => opType)).toEqual(["Slice"]);
  });
  it("iota and size", async () => {
    for (const dtype of ["i64", "i32", "f32"] as const) {
      const arena = new Arena();
      const x = arena.build.input({ name: "x", dtype: "f32", shape: [b, s] });
      const { mul, add } = await import("../../../src/ir/dim.ts");
      const graph = graphOf(
        "g",
        [x],
        [
          ["range", arena.build.iota({ size: add(s, 1), dtype })],
          ["fixed", arena.build.iota({ size: 5, dtype })],
          ["count", arena.build.size({ of: add(mul(b, mul(s, s)), mul(-2, s)) })],
          ["seven", arena.build.size({ of: 7 })],
        ],
      );
      await check(arena, graph, new Map([["x", tensor("f32", [3, 17])]]), standard());
    }
  });
  it("reads a symbol off a composite axis", async () => {
    const { mul, add } = await import("../../../src/ir/dim.ts");
    const arena = new Arena();
    const x = arena.build.input({ name: "x", dtype: "f32", shape: [add(mul(2, s), b)] });
    const y = arena.build.input({ name: "y", dtype: "f32", shape: [b] });
    const graph = graphOf("g", [x, y], [["n", arena.build.size({ of: s })]]);
    await check(
      arena,
      graph,
      new Map([
        ["x", tensor("f32", [13])],
        ["y", tensor("f32", [3])],
      ]),
      standard(),
    );
  });
});

describe("composites", () => {
  const rows: [string, readonly (readonly number[])[], unknown[]][] = [
    ["softmax", [[3, 17]], [{ axis: -1 }]],
    ["softmax", [[3, 17]], [{ axis: 0 }]],
    ["logSoftmax", [[3, 33]], []],
    ["layerNorm", [[2, 3, 65], [65], [65]], []],
    ["layerNorm", [[2, 65], [65]], [{ epsilon: 1e-3 }]],
    ["rmsNorm", [[2, 3, 65], [65]], [{ epsilon: 1e-6 }]],
    ["skipLayerNorm", [[2, 3, 64], [2, 3, 64], [64], [64]], []],
    ["skipLayerNorm", [[2, 3, 64], [2, 3, 64], [64], [64], [64]], []],
    ["skipLayerNorm", [[2, 3, 5, 8], [2, 3, 5, 8], [8], [8]], []],
    ["skipRmsNorm", [[31, 64], [31, 64], [64]], []],
    ["gelu", [[3, 33]], []],
    ["gelu", [[3, 33]], [{ approximate: "tanh" }]],
    ["gelu", [[]], []],
    ["gelu", [[]], [{ approximate: "tanh" }]],
    ["silu", [[]], []],
    ["biasGelu", [[3, 5, 33], [33]], []],
    ["silu", [[3, 33]], []],
    ["relu", [[3, 33]], []],
    ["elu", [[3, 33]], []],
    ["elu", [[3, 33]], [{ alpha: 0.5 }]],
    [
      "rope",
      [
        [2, 3, 17, 16],
        [17, 8],
        [17, 8],
      ],
      [],
    ],
    [
      "rope",
      [
        [2, 3, 17, 16],
        [17, 8],
        [17, 8],
      ],
      [{ interleaved: true }],
    ],
    [
      "rope",
      [
        [2, 3, 17, 16],
        [2, 1, 17, 8],
        [2, 1, 17, 8],
      ],
      [],
    ],
    [
      "rope",
      [
        [2, 17, 16],
        [17, 8],
        [17, 8],
      ],
      [],
    ],
  ];
  for (const contrib of [false, true])
    for (let opset = 17; opset <= 24; opset++)
      it(`all at opset ${opset}${contrib ? " with com.microsoft" : ""}`, async () => {
        for (const [op, shapes, attrs] of rows)
          await runOp(
            op,
            shapes.map((dims, i) => given("f32", dims, i + 1)),
            attrs,
            { opset, contrib, levels: two },
          );
      });
  it("f16 and f64", async () => {
    for (const dtype of ["f16", "f64"] as const)
      for (const contrib of [false, true])
        for (const [op, shapes, attrs] of rows)
          await runOp(
            op,
            shapes.map((dims, i) => given(dtype, dims, i + 1)),
            attrs,
            { contrib, levels: two, ...(dtype === "f16" ? { tolerance: 2e-2 } : { tolerance: 1e-6 }) },
          );
  });
});

// The runtime takes a transposition into the product behind it, and a product with a vector is wrong then.
it.each([
  ["a matrix, turned, and a vector", "a c, c -> a"],
  ["a vector and a matrix, turned", "c, a c -> a"],
])("products of %s", async (_, spec) => {
  const arena = new Arena();
  const b = arena.build;
  const x = b.input({ name: "x", dtype: "f32", shape: [2, 5, 4] });
  const y = b.input({ name: "y", dtype: "f32", shape: [5, 4] });
  const vector = b.input({ name: "v", dtype: "f32", shape: [4] });
  const matrix = b.contract(x, y, { spec: "a b c, b c -> a c" });
  const product = b.contract(...(spec.startsWith("c") ? [vector, matrix] : [matrix, vector]), { spec });
  const feeds = new Map(
    [x, y, vector].map((value, i) => ["xyv"[i]!, tensor("f32", value.type.shape as number[], i + 1)]),
  );
  for (const target of [ortCpu(), standard()])
    await check(arena, graphOf("turned", [x, y, vector], [["out", product]]), feeds, target);
});

it("a 0 beside sizes that only a run tells is no shape to infer", async () => {
  const arena = new Arena();
  const b = arena.build;
  const x = b.input({ name: "x", dtype: "f32", shape: [2, symbol("S"), 3] });
  const [none, all] = arena.node("split", [x], { axis: 2, sizes: [0, 3] }).results as [Value, Value];
  const refined = b.refine(none, { shape: [2, symbol("S"), 0] });
  const graph = graphOf(
    "none",
    [x],
    [
      ["none", refined],
      ["all", all],
    ],
  );
  await check(arena, graph, new Map([["x", tensor("f32", [2, 5, 3])]]), ortCpu());
});
