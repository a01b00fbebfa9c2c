import { describe, expect, test } from "vitest";
import { decodeModel } from "../../src/backends/onnx/decode.ts";
import { encodeModel } from "../../src/backends/onnx/encode.ts";
import { type ImportedModel, importModel } from "../../src/backends/onnx/import/import.ts";
import type {
  OnnxAttribute,
  OnnxDim,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensorInfo,
} from "../../src/backends/onnx/schema.ts";
import { compile } from "../../src/compile.ts";
import { attention, input, model } from "../../src/index.ts";
import { Arena } from "../../src/ir/arena.ts";
import { show } from "../../src/ir/dim.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { parseGraph } from "../../src/ir/parse.ts";
import { printGraph } from "../../src/ir/print.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { showType } from "../../src/ir/types.ts";
import { runModel } from "../../src/session.ts";
import { graph, info, int, ints, modelOf, node, numbers, roundTrip, tensor } from "./support.ts";

describe("shapes computed from shapes", () => {
  const heads = modelOf(
    graph(
      [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["b"], { axis: int(0) }),
        node("Gather", ["s", "one"], ["n"], { axis: int(0) }),
        node("Unsqueeze", ["b", "at0"], ["b1"]),
        node("Unsqueeze", ["n", "at0"], ["n1"]),
        node("Concat", ["b1", "n1", "four", "rest"], ["to"], { axis: int(0) }),
        node("Reshape", ["x", "to"], ["split"]),
        node("Transpose", ["split"], ["y"], { perm: ints(0, 2, 1, 3) }),
      ],
      [info("x", "f32", ["batch", "seq", 8])],
      [info("y", "f32", [null, null, null, null])],
      [
        tensor("zero", "i64", [], [0]),
        tensor("one", "i64", [], [1]),
        tensor("at0", "i64", [1], [0]),
        tensor("four", "i64", [1], [4]),
        tensor("rest", "i64", [1], [-1]),
      ],
    ),
  );

  test("become dimensions and leave no nodes", async () => {
    const runs = [1, 17, 33].map((seq) => ({ x: numbers("f32", [2, seq, 8]) }));
    const { graph: imported, opaque } = await roundTrip(heads, ...runs);
    expect(opaque).toEqual([]);
    expect(showType(imported.outputs[0]!.value.type)).toBe("f32[batch, 4, seq, 2]");
    expect(printGraph(imported)).not.toContain("size(");
  });
});

test("sizes that weights and strides demand are taken to be those", async () => {
  const model = modelOf(
    graph(
      [
        node("Conv", ["x", "w"], ["slid"], { strides: ints(2), pads: ints(1, 1), kernel_shape: ints(3) }),
        node("Add", ["slid", "positions"], ["y"]),
      ],
      [info("x", "f32", ["batch", "channels", "frames"])],
      [info("y", "f32", ["batch", 2, 5])],
      [
        tensor(
          "w",
          "f32",
          [2, 3, 3],
          Array.from({ length: 18 }, (_, i) => i - 7),
        ),
        tensor("positions", "f32", [2, 5], [...Array(10).keys()]),
      ],
    ),
  );
  const { graph: imported, equal } = await roundTrip(model, { x: numbers("f32", [2, 3, 10]) });
  expect(equal).toEqual([
    { name: "channels", dim: 3 },
    { name: "frames", dim: 10 },
  ]);
  expect(showType(imported.inputs[0]!.type)).toBe("f32[batch, 3, 10]");
});

test("sizes that differ between branches in one way have one name", async () => {
  const twice = (name: string) => node("Concat", [name, name], [`${name}2`], { axis: int(0) });
  const same = (name: string) => node("Neg", [name], [`${name}1`]);
  const branch = (nodes: readonly OnnxNode[], names: readonly string[]): OnnxAttribute => ({
    kind: "graph",
    value: graph(
      nodes,
      [],
      names.map((name) => info(name, "f32", undefined)),
    ),
  });
  const model = modelOf(
    graph(
      [
        node("If", ["go"], ["y", "z"], {
          then_branch: branch([twice("a"), twice("b")], ["a2", "b2"]),
          else_branch: branch([same("a"), same("b")], ["a1", "b1"]),
        }),
      ],
      [info("go", "bool", [1]), info("a", "f32", ["n", 2]), info("b", "f32", ["n", 3])],
      [info("y", "f32", [null, 2]), info("z", "f32", [null, 3])],
    ),
  );
  const [a, b] = [numbers("f32", [5, 2]), numbers("f32", [5, 3])];
  const runs = [0, 1].map((go) => ({ go: fromNumbers("bool", [1], [go]), a, b }));
  const { graph: imported } = await roundTrip(model, ...runs);
  expect(imported.outputs.map(({ value }) => showType(value.type))).toEqual(["f32[y.0, 2]", "f32[y.0, 3]"]);
});

test("operators the IR lacks stay as they are, and sizes only they tell are bound by them", async () => {
  const model = modelOf(
    graph(
      [
        node("Asinh", ["x"], ["soft"]),
        node("Compress", ["soft", "keep"], ["some"], { axis: int(0) }),
        node("Add", ["some", "some"], ["twice"]),
        node("Shape", ["twice"], ["count"]),
      ],
      [info("x", "f32", ["n", 3]), info("keep", "bool", ["n"])],
      [info("twice", "f32", [null, 3]), info("count", "i64", [2])],
    ),
  );
  const keep = fromNumbers("bool", [5], [1, 0, 1, 1, 0]);
  const imported = await roundTrip(
    model,
    { x: numbers("f32", [5, 3]), keep },
    { x: numbers("f32", [1, 3]), keep: fromNumbers("bool", [1], [0]) },
  );
  expect(imported.opaque.map(({ operator }) => operator)).toEqual(["Asinh", "Compress"]);
  const text = printGraph(imported.graph);
  expect(printGraph(parseGraph(text, new Arena()))).toBe(text);
});

test("values of types that are not ours stay inside of what is kept", async () => {
  const model = modelOf(
    graph(
      [
        node("SplitToSequence", ["x"], ["parts"], { axis: int(0), keepdims: int(0) }),
        node("SequenceAt", ["parts", "second"], ["y"]),
        node("Neg", ["y"], ["z"]),
      ],
      [info("x", "f32", ["n", 3])],
      [info("z", "f32", [3])],
      [tensor("second", "i64", [], [1])],
    ),
  );
  const withType = { ...model, graph: { ...model.graph, valueInfo: [info("y", "f32", [3])] } };
  await roundTrip(withType, { x: numbers("f32", [4, 3]) });
  const open = { ...model, graph: { ...model.graph, outputs: [info("z", "f32", undefined)] } };
  expect(() => importModel(open)).toThrow(/the output "z" has no type of ours/);
});

describe("branches", () => {
  const branch = (name: string, ...nodes: ReturnType<typeof node>[]) => ({
    kind: "graph" as const,
    value: { ...graph(nodes, [], [info(`${name}_y`, "f32", [null, 2])]), name },
  });
  const model = modelOf(
    graph(
      [
        node("If", ["long"], ["y"], {
          then_branch: branch("twice", node("Concat", ["x", "x"], ["twice_y"], { axis: int(0) })),
          else_branch: branch("same", node("Asinh", ["x"], ["same_t"]), node("Mul", ["same_t", "w"], ["same_y"])),
        }),
        node("Shape", ["y"], ["count"]),
        node("Neg", ["y"], ["z"]),
      ],
      [info("x", "f32", ["n", 2]), info("long", "bool", [])],
      [info("z", "f32", [null, 2]), info("count", "i64", [2])],
      [tensor("w", "f32", [1, 2], [2, 3])],
    ),
  );

  test("read the graph around them, and sizes they differ in get a name", async () => {
    const x = numbers("f32", [3, 2]);
    await roundTrip(model, ...[0, 1].map((long) => ({ x, long: fromNumbers("bool", [], [long]) })));
  });
});

test("a branch for one length leaves the length open", async () => {
  const declared = model("windowed", {}, () => {
    const [q, k, v] = ["q", "k", "v"].map((name) => input(name, "f32", [1, 2, "seq", 8]));
    return { o: attention(q!, k!, v!, { mask: ({ q, k }) => Math.floor(q / 64) === Math.floor(k / 64) }) };
  });
  const compiled = await compile(declared.build(), { hints: new Map([["seq", 512]]) });
  expect(printGraph(compiled.graph)).toContain("if(");
  const file = decodeModel(encodeModel(compiled.onnx()).model);
  const qkv = (length: number) =>
    Object.fromEntries(["q", "k", "v"].map((x) => [x, numbers("f32", [1, 2, length, 8])]));
  const { graph: imported, equal } = await roundTrip(file, qkv(512), qkv(17));
  expect(equal.map(({ name }) => name)).not.toContain("seq");
  expect(showType(imported.outputs[0]!.value.type)).toBe("f32[1, 2, seq, 8]");
});

describe("a first axis that squeezing takes where it is 1", () => {
  const file = (x: readonly OnnxDim[], last: OnnxNode, y: OnnxTensorInfo) =>
    modelOf(
      graph(
        [node("Squeeze", ["x"], ["squeezed"]), node("Shape", ["like"], ["sizes"]), last],
        [info("x", "f32", x), info("like", "f32", ["l", "m", 2])],
        [y],
      ),
    );
  const feeds = (x: readonly number[], like: readonly number[]) => ({
    x: numbers("f32", x),
    like: numbers("f32", like),
  });
  const expand = [node("Expand", ["squeezed", "sizes"], ["y"]), info("y", "f32", [null, null, null])] as const;
  const count = [node("Shape", ["squeezed"], ["y"]), info("y", "i64", [null])] as const;

  test("is there where Expand stretches to as many axes", async () => {
    const sizes = [1, 3].map((m) => feeds([1, m, 1, 2], [2, m, 2]));
    const { opaque } = await roundTrip(file([1, "n", 1, 2], ...expand), ...sizes);
    expect(opaque).toEqual([]);
  });

  test.each([
    [
      "another axis may be 1, too",
      [1, "n", "k", 2],
      expand,
      [feeds([1, 2, 1, 2], [3, 2, 2]), feeds([1, 1, 3, 2], [1, 3, 2])],
    ],
    [
      "its absence is asked for",
      [1, "n", 1, 2],
      count,
      [feeds([1, 1, 1, 2], [1, 1, 2]), feeds([1, 3, 1, 2], [1, 1, 2])],
    ],
  ] as const)("is left to the runtime where %s", async (_, x, last, runs) => {
    const { opaque } = await roundTrip(file(x, ...last), ...runs);
    expect(opaque.map(({ reason }) => reason).join()).toContain("which axes are 1 is known at run time only");
  });
});

test("no size of a tensor is a negative number", async () => {
  const file = modelOf(
    graph(
      [
        node("Slice", ["x", "one", "all", "zero"], ["rest"]),
        node("Shape", ["rest"], ["sizes"]),
        node("Equal", ["sizes", "minus"], ["open"]),
        node("Where", ["open", "one", "sizes"], ["to"]),
        node("Expand", ["w", "to"], ["y"]),
      ],
      [info("x", "f32", ["seq", 2])],
      [info("y", "f32", [null, null])],
      [
        ...[
          ["zero", 0],
          ["one", 1],
          ["minus", -1],
          ["all", 2 ** 40],
        ].map(([name, value]) => tensor(name as string, "i64", [1], [value as number])),
        tensor("w", "f32", [1], [3]),
      ],
    ),
  );
  const { opaque } = await roundTrip(file, { x: numbers("f32", [5, 2]) }, { x: numbers("f32", [2, 2]) });
  expect(opaque).toEqual([]);
});

describe("slices that step over an axis of open size", () => {
  const turned = (start: number, end: number, step: number) =>
    modelOf(
      graph(
        [
          node("Slice", ["x", "start", "end", "axis", "step"], ["stepped"]),
          node("Shape", ["stepped"], ["sizes"]),
          node("Expand", ["w", "sizes"], ["y"]),
        ],
        [info("x", "f32", [2, "seq"])],
        [info("y", "f32", [null, null]), info("stepped", "f32", [null, null])],
        [
          ...Object.entries({ start, end, axis: 1, step }).map(([name, value]) => tensor(name, "i64", [1], [value])),
          tensor("w", "f32", [1], [3]),
        ],
      ),
    );
  const runs = [5, 4, 1].map((seq) => ({ x: numbers("f32", [2, seq]) }));
  const far = 2 ** 40;

  test.each([
    [-1, -far, -1, "seq"],
    [far, -far, -2, "ceil(seq/2)"],
    [0, far, 2, "ceil(seq/2)"],
    [1, far, 2, "stepped.1"],
    [-2, -far, -1, "stepped.1"],
    [0, -1, 2, "stepped.1"],
  ])("from %d to %d by %d have %s", async (start, end, step, size) => {
    const { graph: imported } = await roundTrip(turned(start, end, step), ...runs);
    expect(showType(imported.outputs[0]!.value.type)).toBe(`f32[2, ${size}]`);
  });
});

describe("a size that only a run tells, of a tensor nothing but the shape of is used,", () => {
  const file = (nodes: readonly OnnxNode[], start: number, y: OnnxTensorInfo) =>
    modelOf(
      graph(
        [node("Slice", ["x", "start", "end", "axis", "step"], ["stepped"]), ...nodes],
        [info("x", "f32", [2, "seq"])],
        [y],
        Object.entries({ start, end: 2 ** 40, axis: 1, step: 2, zero: 0 })
          .map(([name, value]) => tensor(name, "i64", [1], [value]))
          .concat(tensor("w", "f32", [1], [3]), tensor("first", "i64", [], [0]), tensor("next", "i64", [], [1])),
      ),
    );
  const branch: OnnxAttribute = {
    kind: "graph",
    value: graph(
      [node("Shape", ["stepped"], ["inner"]), node("Expand", ["w", "inner"], ["wide"])],
      [],
      [info("wide", "f32", [null, null])],
    ),
  };
  const kinds: [string, readonly OnnxNode[], OnnxTensorInfo][] = [
    [
      "of its shape",
      [node("Shape", ["stepped"], ["sizes"]), node("Expand", ["w", "sizes"], ["y"])],
      info("y", "f32", [null, null]),
    ],
    [
      "of what it is made into",
      [
        node("Exp", ["stepped"], ["more"]),
        node("Transpose", ["more"], ["turned"]),
        node("Shape", ["turned"], ["sizes"]),
        node("ConstantOfShape", ["sizes"], ["y"]),
      ],
      info("y", "f32", [null, null]),
    ],
    [
      "of a shape of such a size",
      [
        node("Shape", ["stepped"], ["sizes"]),
        node("ConstantOfShape", ["sizes"], ["zeros"]),
        node("Slice", ["zeros", "start", "end", "axis", "step"], ["again"]),
        node("Shape", ["again"], ["fewer"], { start: int(1) }),
        node("Expand", ["w", "fewer"], ["y"]),
      ],
      info("y", "f32", [null]),
    ],
    [
      "of a range",
      [
        node("Shape", ["stepped"], ["sizes"]),
        node("Gather", ["sizes", "next"], ["many"]),
        node("Range", ["first", "many", "next"], ["y"]),
      ],
      info("y", "i64", [null]),
    ],
    [
      "of elements counted",
      [node("Size", ["stepped"], ["count"]), node("Add", ["count", "next"], ["y"])],
      info("y", "i64", []),
    ],
    ["of a diagonal", [node("EyeLike", ["stepped"], ["y"])], info("y", "f32", [null, null])],
    [
      "in a branch",
      [
        node("ReduceSum", ["x"], ["sum"], { keepdims: int(0) }),
        node("Cast", ["sum"], ["taken"], { to: int(9) }),
        node("If", ["taken"], ["y"], { then_branch: branch, else_branch: branch }),
      ],
      info("y", "f32", [null, null]),
    ],
  ];
  const runs = [5, 4, 3].map((seq) => ({ x: numbers("f32", [2, seq]) }));

  test.each(kinds)("is asked of it: %s", async (_, nodes, y) => {
    const { opaque } = await roundTrip(file(nodes, 1, y), ...runs);
    expect(opaque.map(({ operator }) => operator)).toContain("Slice");
  });

  test("is none where it follows from an input's", async () => {
    const { opaque } = await roundTrip(file(kinds[0]![1], 0, kinds[0]![2]), ...runs);
    expect(opaque.map(({ operator }) => operator)).toEqual(["Slice"]);
  });
});

test("what only a run counts is as much as it is split into", async () => {
  const file = modelOf(
    graph(
      [
        node("NonZero", ["x"], ["places"]),
        node("Split", ["places", "parts"], ["one", "two"], { axis: int(1) }),
        node("Squeeze", ["two"], ["y"]),
      ],
      [info("x", "f32", ["n"])],
      [info("y", "i64", [null])],
      [tensor("parts", "i64", [2], [1, 2])],
    ),
  );
  const { opaque } = await roundTrip(file, { x: fromNumbers("f32", [5], [1, 0, 1, 0, 1]) });
  expect(opaque.map(({ operator }) => operator)).toEqual(["NonZero"]);
});

test.each([
  ["down by one", -1, (n: number) => [n - 1, -n]],
  ["by three", 3, (n: number) => [1 - n, n]],
  ["by an integer of no sign to say", -2, (n: number) => [n, n]],
] as const)("floats counted %s between sizes are known", async (_, step, bounds) => {
  const n = 5;
  const [from, to] = bounds(n) as [number, number];
  const term = (value: number) => (value === 1 - n ? "less" : value === n ? "n" : value === -n ? "minus" : "more");
  const file = modelOf(
    graph(
      [
        node("Shape", ["x"], ["n"], { start: int(0), end: int(1) }),
        node("Squeeze", ["n"], ["size"]),
        node("Sub", ["size", "one"], ["more.i"]),
        node("Neg", ["size"], ["minus.i"]),
        node("Neg", ["more.i"], ["less.i"]),
        ...["more", "minus", "less"].map((name) => node("Cast", [`${name}.i`], [`${name}.f`], { to: int(1) })),
        node("Cast", ["size"], ["n.f"], { to: int(1) }),
        node("Range", [`${term(from)}.f`, `${term(to)}.f`, "step"], ["places"]),
        node("ReduceSum", ["places"], ["sum"]),
        node("Add", ["x", "sum"], ["y"]),
      ],
      [info("x", "f32", ["seq"])],
      [info("y", "f32", [null])],
      [tensor("one", "i64", [], [1]), tensor("step", "f32", [], [step])],
    ),
  );
  const { opaque } = await roundTrip(file, { x: fromNumbers("f32", [n], [1, 2, 3, 4, 5]) });
  expect(opaque).toEqual([]);
});

test("floats counted by a fraction are left to the runtime", async () => {
  const file = modelOf(
    graph(
      [
        node("Shape", ["x"], ["n"], { start: int(0), end: int(1) }),
        node("Squeeze", ["n"], ["size"]),
        node("Cast", ["size"], ["to"], { to: int(1) }),
        node("Range", ["zero", "to", "step"], ["places"]),
        node("ReduceSum", ["places"], ["sum"]),
        node("Add", ["x", "sum"], ["y"]),
      ],
      [info("x", "f32", ["seq"])],
      [info("y", "f32", [null])],
      [tensor("zero", "f32", [], [0]), tensor("step", "f32", [], [0.5])],
    ),
  );
  const { opaque } = await roundTrip(file, { x: fromNumbers("f32", [3], [1, 2, 3]) });
  expect(opaque.map(({ operator }) => operator)).toContain("Range");
});

test("a mask flattened by the batch of the tokens has their batch", async () => {
  const file = modelOf(
    graph(
      [
        node("Shape", ["ids"], ["batch"], { start: int(0), end: int(1) }),
        node("Size", ["mask"], ["all"]),
        node("Squeeze", ["batch"], ["rows"]),
        node("Div", ["all", "rows"], ["width"]),
        node("Concat", ["batch", "rest"], ["shape"], { axis: int(0) }),
        node("Reshape", ["mask", "shape"], ["flat"]),
        node("Range", ["zero", "width", "one"], ["places"]),
        node("Mul", ["flat", "places"], ["y"]),
      ],
      [info("ids", "i64", ["b", "s"]), info("mask", "i64", ["m", "n"])],
      [info("y", "i64", [null, null])],
      [tensor("rest", "i64", [1], [-1]), tensor("zero", "i64", [], [0]), tensor("one", "i64", [], [1])],
    ),
  );
  const mask = fromNumbers("i64", [2, 3], [1, 1, 0, 1, 1, 1]);
  const ids = fromNumbers("i64", [2, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  const { opaque, graph: imported } = await roundTrip(file, { ids, mask });
  expect(opaque).toEqual([]);
  expect(imported.inputs.map(({ type }) => showType(type))).toEqual(["i64[m, s]", "i64[m, n]"]);
});

test.each([
  ["the length, of a table that ends", "seq", 3],
  ["the count, of a length that is enough", 4, 6],
] as const)("the smaller of a length and a count is %s, where it meets that", async (_, least, length) => {
  const other = least === 4 ? "w" : "x";
  const file = modelOf(
    graph(
      [
        node("Shape", ["x"], ["length"], { start: int(0), end: int(1) }),
        node("Min", ["length", "four"], ["rows"]),
        node("Concat", ["rows", "two"], ["shape"], { axis: int(0) }),
        node("Slice", ["x", "zero", "four", "zero"], ["cut"]),
        node("Reshape", ["cut", "shape"], ["same"]),
        node("Add", ["same", other], ["y"]),
      ],
      [info("x", "f32", ["seq", 2])],
      [info("y", "f32", [null, 2])],
      [
        ...["zero", "two", "four"].map((name, i) => tensor(name, "i64", [1], [2 * i])),
        tensor("w", "f32", [4, 2], [1, 2, 3, 4, 5, 6, 7, 8]),
      ],
    ),
  );
  const { opaque, equal, graph: imported } = await roundTrip(file, { x: numbers("f32", [length, 2]) });
  expect(opaque).toEqual([]);
  expect(equal.map(({ name, dim }) => [name, show(dim)])).toEqual([["min(4, seq)", String(least)]]);
  expect(showType(imported.outputs[0]!.value.type)).toBe(`f32[${least}, 2]`);
});

test.each([
  [4, 3, "-seq + 4"],
  [1, 3, "0"],
  [1, 1, "0"],
] as const)("the last of a table's %i rows, as many as the length %i", async (rows, length, first) => {
  const file = modelOf(
    graph(
      [
        node("Shape", ["x"], ["length"], { start: int(0), end: int(1) }),
        node("Sub", ["rows", "length"], ["more"]),
        node("Max", ["zero", "more"], ["first"]),
        node("Slice", ["table", "first", "rows", "zero"], ["last"]),
        node("Add", ["last", "x"], ["y"]),
      ],
      [info("x", "f32", ["seq", 2])],
      [info("y", "f32", [null, 2])],
      [
        tensor("zero", "i64", [1], [0]),
        tensor("rows", "i64", [1], [rows]),
        tensor(
          "table",
          "f32",
          [rows, 2],
          Array.from({ length: 2 * rows }, (_, i) => i),
        ),
      ],
    ),
  );
  const { opaque, equal, graph: imported } = await roundTrip(file, { x: numbers("f32", [length, 2]) });
  expect(opaque).toEqual([]);
  expect(equal.map(({ name, dim }) => [name, show(dim)])).toEqual([[`max(0, (-seq + ${rows}))`, first]]);
  expect(showType(imported.outputs[0]!.value.type)).toBe("f32[seq, 2]");
});

test("a size that only a run tells is the number the file says", async () => {
  const file = modelOf({
    ...graph(
      [node("Expand", ["mask", "shape"], ["wide"]), node("Where", ["wide", "x", "zero"], ["y"])],
      [info("x", "f32", ["b", 3, "s", "s"]), info("mask", "bool", ["b", 1, 1, "s"]), info("shape", "i64", [4])],
      [info("y", "f32", [null, null, null, null])],
      [tensor("zero", "f32", [], [0])],
    ),
    valueInfo: [info("wide", "bool", ["b", 1, "s", "s"])],
  });
  const x = numbers("f32", [2, 3, 4, 4]);
  const mask = fromNumbers("bool", [2, 1, 1, 4], [1, 1, 0, 1, 1, 0, 1, 1]);
  const { graph: imported } = await roundTrip(file, { x, mask, shape: fromNumbers("i64", [4], [2, 1, 4, 4]) });
  expect(printGraph(imported)).toContain("dims = [b, 1, s, s]");
});

test("pads by axis, last axis first, are turned round in pairs", async () => {
  const file = modelOf(
    graph(
      [
        node("Shape", ["x"], ["length"], { start: int(1), end: int(2) }),
        node("Mod", ["length", "four"], ["over"]),
        node("Concat", ["none", "none", "none", "over"], ["pads"], { axis: int(0) }),
        node("Reshape", ["pads", "pairs"], ["listed"]),
        node("Slice", ["listed", "last", "ahead", "none", "last"], ["turned"]),
        node("Transpose", ["turned"], ["sides"], { perm: ints(1, 0) }),
        node("Reshape", ["sides", "last"], ["flat"]),
        node("Cast", ["flat"], ["whole"], { to: int(7) }),
        node("Pad", ["x", "whole", "zero"], ["y"]),
      ],
      [info("x", "f32", ["n", "m"])],
      [info("y", "f32", [null, null])],
      [
        tensor("four", "i64", [1], [4]),
        tensor("none", "i64", [1], [0]),
        tensor("last", "i64", [1], [-1]),
        tensor("ahead", "i64", [1], [-(2 ** 53)]),
        tensor("pairs", "i64", [2], [-1, 2]),
        tensor("zero", "f32", [], [0]),
      ],
    ),
  );
  const runs = [1, 4, 7].map((length) => ({ x: numbers("f32", [2, length]) }));
  const { opaque, graph: imported } = await roundTrip(file, ...runs);
  expect(opaque).toEqual([]);
  expect(showType(imported.outputs[0]!.value.type)).toBe("f32[mod(m, 4) + n, m]");
});

test("a length is padded to whole blocks by what its negative leaves of one", async () => {
  const file = modelOf(
    graph(
      [
        node("Shape", ["x"], ["length"], { start: int(1), end: int(2) }),
        node("Neg", ["length"], ["below"]),
        node("Mod", ["below", "four"], ["short"]),
        node("Concat", ["none", "none", "none", "short"], ["pads"], { axis: int(0) }),
        node("Pad", ["x", "pads"], ["padded"]),
        node("Shape", ["padded"], ["whole"], { start: int(1), end: int(2) }),
        node("Div", ["whole", "four"], ["blocks"]),
        node("Concat", ["rest", "blocks", "four"], ["shape"], { axis: int(0) }),
        node("Reshape", ["padded", "shape"], ["y"]),
      ],
      [info("x", "f32", ["n", "m"])],
      [info("y", "f32", [null, null, 4])],
      [tensor("four", "i64", [1], [4]), tensor("none", "i64", [1], [0]), tensor("rest", "i64", [1], [-1])],
    ),
  );
  const runs = [1, 4, 7, 8].map((length) => ({ x: numbers("f32", [2, length]) }));
  const { opaque, equal, graph: imported } = await roundTrip(file, ...runs);
  expect([opaque, equal]).toEqual([[], []]);
  expect(showType(imported.outputs[0]!.value.type)).toBe("f32[n, ceil(m/4), 4]");
});

test("what windows leave of a length is divided as one", async () => {
  const file = modelOf(
    graph(
      [
        node("Shape", ["x"], ["length"], { start: int(2), end: int(3) }),
        node("Sub", ["length", "one"], ["rest"]),
        node("Div", ["rest", "six"], ["windows"]),
        node("Concat", ["batch", "windows"], ["shape"], { axis: int(0) }),
        node("Conv", ["x", "first"], ["a"], { strides: ints(3) }),
        node("Conv", ["a", "second"], ["c"], { strides: ints(2) }),
        node("Reshape", ["c", "shape"], ["y"]),
      ],
      [info("x", "f32", [2, 1, "n"])],
      [info("y", "f32", [2, null])],
      [
        tensor("one", "i64", [1], [1]),
        tensor("six", "i64", [1], [6]),
        tensor("batch", "i64", [1], [2]),
        tensor("first", "f32", [1, 1, 4], [1, 2, 3, 4]),
        tensor("second", "f32", [1, 1, 2], [1, -1]),
      ],
    ),
  );
  const { opaque, graph: imported } = await roundTrip(file, { x: numbers("f32", [2, 1, 25]) });
  expect(opaque.map(({ operator }) => operator)).toEqual(["Conv"]);
  expect(showType(imported.outputs[0]!.value.type)).toBe("f32[2, floor((n - 1)/6)]");
});

test("a stored triangle of ones is a mask, other squares are weights", async () => {
  const squares = {
    triangle: [1, 0, 0, 1, 1, 0, 1, 1, 1],
    other: [1, 0, 0, 1, 1, 0, 1, 1, 2],
    upper: [1, 1, 1, 0, 1, 1, 0, 0, 1],
  };
  const file = modelOf(
    graph(
      Object.keys(squares).map((name) => node("Mul", ["x", name], [`${name}_y`])),
      [info("x", "f32", [3, 3])],
      Object.keys(squares).map((name) => info(`${name}_y`, "f32", [3, 3])),
      Object.entries(squares).map(([name, values]) => tensor(name, "f32", [3, 3], values)),
    ),
  );
  const { tensors } = await roundTrip(file, { x: numbers("f32", [3, 3]) });
  expect(tensors.names()).toEqual(["other", "upper"]);
});

test("an operator that stays is not computed ahead, were all it reads constant", async () => {
  const file = modelOf(
    graph(
      [node("Sinh", ["stored"], ["s"]), node("Mul", ["x", "s"], ["y"])],
      [info("x", "f32", [2])],
      [info("y", "f32", [2])],
      [tensor("stored", "f32", [2], [0.5, -1])],
    ),
  );
  const imported = await roundTrip(file, { x: numbers("f32", [2]) });
  const { graph: optimised } = await compile(imported);
  expect(printGraph(optimised)).toContain("opaque(%stored)");
});

test("loops stay as they are, with what they read of the graph around them", async () => {
  const body = graph(
    [node("Add", ["acc", "x"], ["next"]), node("Identity", ["go"], ["still"])],
    [info("i", "i64", []), info("go", "bool", []), info("acc", "f32", [2])],
    [info("still", "bool", []), info("next", "f32", [2])],
  );
  const model = modelOf(
    graph(
      [
        node("Neg", ["given"], ["x"]),
        node("Loop", ["times", "", "start"], ["sum"], { body: { kind: "graph", value: body } }),
        node("Mul", ["sum", "x"], ["y"]),
      ],
      [info("given", "f32", [2]), info("times", "i64", [])],
      [info("y", "f32", [2])],
      [tensor("start", "f32", [2], [1, 2])],
    ),
  );
  await roundTrip(model, { given: numbers("f32", [2]), times: fromNumbers("i64", [], [3]) });
});

test("a size that stands for another may itself have to be equal to a third", async () => {
  const model = modelOf(
    graph(
      [node("Add", ["a", "b"], ["ab"]), node("Add", ["c", "ab"], ["y"])],
      [info("a", "f32", ["l"]), info("b", "f32", ["m"]), info("c", "f32", ["n"])],
      [info("y", "f32", [null])],
    ),
  );
  const feeds = { a: numbers("f32", [3]), b: numbers("f32", [3], 2), c: numbers("f32", [3], 5) };
  const { equal, graph: imported } = await roundTrip(model, feeds);
  expect(new Set(imported.inputs.map(({ type }) => type.shape[0])).size).toBe(1);
  expect(equal.map(({ dim }) => dim)).toEqual([imported.inputs[0]!.type.shape[0], imported.inputs[0]!.type.shape[0]]);
});

test("of sizes that have to be equal the sum is what is given up, not a part of it", async () => {
  const model = modelOf(
    graph(
      [
        node("Shape", ["past"], ["from"]),
        node("Slice", ["mask", "from", "last"], ["new"]),
        node("Add", ["x", "new"], ["y"]),
      ],
      [info("x", "f32", ["seq"]), info("past", "f32", ["past"]), info("mask", "f32", ["total"])],
      [info("y", "f32", [null])],
      [tensor("last", "i64", [1], [2 ** 31 - 1])],
    ),
  );
  const feeds = { x: numbers("f32", [3]), past: numbers("f32", [4]), mask: numbers("f32", [7]) };
  const { equal, graph: imported } = await roundTrip(model, feeds);
  expect(equal.map(({ name, dim }) => `${name} = ${show(dim)}`)).toEqual(["total = past + seq"]);
  expect(showType(imported.outputs[0]!.value.type)).toBe("f32[seq]");
});

test("sizes that have to be equal get one name; a function's nodes stand in its place", async () => {
  const model: OnnxModel = {
    ...modelOf(
      graph(
        [
          node("Concat", ["past", "x"], ["all"], { axis: int(0) }),
          node("masked", ["all", "mask"], ["y"], { slope: { kind: "float", value: 0.5 } }, "local"),
        ],
        [info("x", "f32", ["seq"]), info("past", "f32", ["past"]), info("mask", "f32", ["total"])],
        [info("y", "f32", [null])],
      ),
    ),
    functions: [
      {
        name: "masked",
        domain: "local",
        inputs: ["a", "b"],
        outputs: ["c"],
        requiredAttributes: ["slope"],
        attributeDefaults: new Map(),
        opsetImports: [{ domain: "", version: 18 }],
        nodes: [
          node("LeakyRelu", ["a"], ["t"], { alpha: { kind: "reference", value: "slope", type: 1 } }),
          node("Add", ["t", "b"], ["c"]),
        ],
        valueInfo: [],
      },
    ],
    opsetImports: [
      { domain: "", version: 18 },
      { domain: "local", version: 1 },
    ],
  };
  const feeds = { x: numbers("f32", [3]), past: numbers("f32", [4]), mask: numbers("f32", [7]) };
  const { equal, graph: imported } = await roundTrip(model, feeds);
  expect(equal.map(({ name }) => name)).toEqual(["total"]);
  expect(showType(imported.outputs[0]!.value.type)).toBe("f32[past + seq]");
});

describe("graphs that are none", () => {
  const io = [[info("x", "f32", [2])], [info("y", "f32", [2])]] as const;
  test.each([
    ["a cycle", [node("Add", ["x", "y"], ["t"]), node("Neg", ["t"], ["y"])], /computed from itself/],
    ["a name nothing computes", [node("Add", ["x", "gone"], ["y"])], /reads "gone", which nothing computes/],
    ["two values of a name", [node("Neg", ["x"], ["y"]), node("Abs", ["x"], ["y"])], /the name of two values/],
    ["a domain without a version", [node("Neg", ["x"], ["y"], {}, "elsewhere")], /imports no version/],
  ] as const)("%s", (_, nodes, message) => {
    expect(() => importModel(modelOf(graph(nodes, ...io)))).toThrow(message);
  });

  test("nodes in any order are sorted", async () => {
    await roundTrip(modelOf(graph([node("Neg", ["t"], ["y"]), node("Abs", ["x"], ["t"])], ...io)), {
      x: numbers("f32", [2]),
    });
  });

  test("and those of graphs that are kept, which the runtime wants in order", async () => {
    const feeds = { x: numbers("f32", [2]), times: fromNumbers("i64", [], [3]) };
    const held = (of: OnnxGraph): OnnxAttribute => ({ kind: "graph", value: of });
    const loop = (order: (nodes: readonly OnnxNode[]) => readonly OnnxNode[]) => {
      const branch = (result: string, ...nodes: readonly OnnxNode[]) =>
        held(graph(order(nodes), [], [info(result, "f32", [2])]));
      const choice = node("If", ["still"], ["next"], {
        then_branch: branch("minus", node("Add", ["acc", "twice"], ["sum"]), node("Neg", ["sum"], ["minus"])),
        else_branch: branch("same", node("Identity", ["acc"], ["same"])),
      });
      const body = graph(
        order([node("Add", ["x", "x"], ["twice"]), node("Identity", ["go"], ["still"]), choice]),
        [info("i", "i64", []), info("go", "bool", []), info("acc", "f32", [2])],
        [info("still", "bool", []), info("next", "f32", [2])],
      );
      const nodes = [node("Loop", ["times", "", "x"], ["y"], { body: held(body) })];
      return modelOf(graph(nodes, [info("times", "i64", []), ...io[0]], io[1]));
    };
    const sorted = await roundTrip(
      loop((nodes) => nodes),
      feeds,
    );
    const unsorted = importModel(loop((nodes) => nodes.toReversed()));
    const outputs = async (of: ImportedModel) => runModel((await compile(of)).onnx(), new Map(Object.entries(feeds)));
    expect(await outputs(unsorted)).toEqual(await outputs(sorted));
  });

  test.each([
    [6, [expect.stringMatching(/opset 6: .* before opset 7$/)]],
    [7, []],
  ])("a file of opset %i", (opset, warnings) => {
    const of = graph([node("Neg", ["x"], ["y"])], [info("x", "f32", [2])], [info("y", "f32", [2])]);
    expect(importModel(modelOf(of, opset)).warnings).toEqual(warnings);
  });

  test("a result that is not what the file says is said", () => {
    const model = modelOf(graph([node("Neg", ["x"], ["y"])], [info("x", "f32", [2])], [info("y", "f32", [7, 9])]));
    expect(importModel(model).warnings).toEqual(['the file says that "y" is f32[7, 9]; it is f32[2]']);
  });

  test("inputs of types that are not ours are refused", () => {
    const model = modelOf(
      graph([node("Neg", ["x"], ["y"])], [{ name: "x", dtype: 8, shape: [2] }], [info("y", "f32", [2])]),
    );
    expect(() => importModel(model)).toThrow(expect.objectContaining({ code: "QKV418" }));
  });
});

describe("operators of another version", () => {
  const upsampled = modelOf(
    graph(
      [node("Upsample", ["x", "scales"], ["y"], { mode: { kind: "string", value: "linear" } })],
      [info("x", "f32", [1, 1, 2, 2])],
      [info("y", "f32", [1, 1, 4, 4])],
      [tensor("scales", "f32", [4], [1, 1, 2, 2])],
    ),
    9,
  );
  const sampled = modelOf(
    graph(
      [node("GridSample", ["x", "at"], ["y"], { mode: { kind: "string", value: "bilinear" } })],
      [info("x", "f32", [1, 1, 3, 3]), info("at", "f32", [1, 2, 2, 2])],
      [info("y", "f32", [1, 1, 2, 2])],
    ),
    18,
  );

  test("are written for an operator set that has them, or refused", async () => {
    const at = numbers("f32", [1, 2, 2, 2]);
    const imported = await roundTrip(sampled, { x: numbers("f32", [1, 1, 3, 3]), at });
    expect((await compile(imported)).target.opset).toBe(19);
    await expect(compile(imported, { opset: 23 })).rejects.toMatchObject({ code: "QKV466" });
    await expect(compile(importModel(upsampled))).rejects.toMatchObject({ code: "QKV466" });
  });

  test("have no float64 reference", () => {
    const feeds = new Map([["x", numbers("f32", [1, 1, 2, 2])]]);
    const { graph: imported, tensors } = importModel(upsampled);
    expect(() => evaluateGraph(imported, feeds, { weights: tensors })).toThrow(
      expect.objectContaining({ code: "QKV246" }),
    );
  });
});
