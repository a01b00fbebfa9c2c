import { describe, expect, test } from "vitest";
import { encodeModel } from "../../../src/backends/onnx/encode.ts";
import { exportGraph } from "../../../src/backends/onnx/export.ts";
import { openSession } from "../../../src/backends/ort/session.ts";
import { Arena, graphOf } from "../../../src/ir/arena.ts";
import { type Dim, mul, symbol } from "../../../src/ir/dim.ts";
import type { DType } from "../../../src/ir/dtype.ts";
import { elementCount, fromNumbers, type HostTensor, toFloat64 } from "../../../src/ir/tensor.ts";
import { check, numbers, operators, reader, standard, tensor } from "./support/check.ts";

interface Given {
  readonly feed: HostTensor;
  readonly shape: readonly Dim[];
}

const [b, s, t] = [symbol("b"), symbol("s"), symbol("t")];
const given = (dtype: DType, dims: readonly number[], shape: readonly Dim[] = dims, seed = 1): Given => ({
  feed: tensor(dtype, dims, seed),
  shape,
});

/** Integers from `low` to `high`, many of them equal. */
function among(dtype: DType, dims: readonly number[], low: number, high: number, shape: readonly Dim[] = dims): Given {
  const values = numbers(elementCount(dims), 7).map((x) => low + Math.floor(((x + 1) / 2) * (high - low + 1)));
  return { feed: fromNumbers(dtype, dims, values), shape };
}

function runOp(op: "gather" | "scatter" | "topK", operands: readonly Given[], attrs: object, opset?: number) {
  const arena = new Arena();
  const inputs = operands.map(({ feed, shape }, i) => arena.build.input({ name: `x${i}`, dtype: feed.dtype, shape }));
  const { results } = arena.node(op, inputs, attrs as Record<string, unknown>);
  const graph = graphOf(
    "one",
    inputs,
    results.map((value, i) => [`y${i}`, value] as const),
  );
  const feeds = new Map(operands.map(({ feed }, i) => [`x${i}`, feed]));
  return check(arena, graph, feeds, standard(opset), { levels: ["disabled", "all"] });
}

const stored: readonly DType[] = ["f32", "f64", "f16", "i64", "i32", "i8", "u8", "bool"];

describe("gather with shared axes", () => {
  test.each(stored)("rows of %s, indices from either end", async (dtype) => {
    const rows = [given(dtype, [2, 15, 7], [b, s, 7]), among("i64", [2, 33], -15, 14, [b, t])];
    const model = await runOp("gather", rows, { axis: 1, batch: 1 });
    expect(operators(model)).toContain("GatherND");
  });

  test.each(stored)("elements of %s", async (dtype) => {
    const model = await runOp("gather", [given(dtype, [2, 3, 17]), among("i32", [2, 3, 5], -17, 16)], {
      axis: -1,
      batch: 2,
    });
    expect(operators(model)).toContain("GatherElements");
  });

  test("axes between the shared ones and the one picked along", async () => {
    const x = given("f32", [2, 3, 5, 17, 4], [b, 3, 5, s, 4]);
    await runOp("gather", [x, among("i64", [2, 3, 6, 2], 0, 16, [b, 3, 6, 2])], { axis: 3, batch: 2 });
    await runOp("gather", [x, among("i32", [2, 33], 0, 16, [b, 33])], { axis: 3, batch: 1 });
    await runOp("gather", [x, among("i64", [2], 0, 16, [b])], { axis: 3, batch: 1 });
  });

  test("nothing", async () => {
    await runOp("gather", [given("f32", [2, 5, 3]), among("i64", [2, 0], 0, 4)], { axis: 1, batch: 1 });
    await runOp("gather", [given("f32", [0, 5, 3]), among("i64", [0, 4], 0, 4)], { axis: 1, batch: 1 });
  });

  test.each([17, 18, 24])("opset %i", async (opset) => {
    await runOp("gather", [given("f32", [2, 15, 7]), among("i64", [2, 33], 0, 14)], { axis: 1, batch: 1 }, opset);
  });
});

describe("scatter", () => {
  const distinct = (dims: readonly number[], shape: readonly Dim[] = dims): Given => {
    const order = [11, 3, 0, 14, 7];
    return {
      feed: fromNumbers(
        "i64",
        dims,
        Array.from({ length: elementCount(dims) }, (_, i) => order[i % 5]!),
      ),
      shape,
    };
  };

  test.each(stored)("replaces rows of %s", async (dtype) => {
    const updates = given(dtype, [2, 5, 7], [b, 5, 7], 2);
    await runOp("scatter", [given(dtype, [2, 15, 7], [b, s, 7]), distinct([2, 5], [b, 5]), updates], {
      axis: 1,
      batch: 1,
    });
  });

  test.each(stored.filter((dtype) => dtype !== "bool"))("adds rows of %s that meet", async (dtype) => {
    const operands = [
      given(dtype, [2, 3, 4], [b, 3, 4]),
      among("i32", [2, 9], -3, 2, [b, t]),
      given(dtype, [2, 9, 4], [b, t, 4], 2),
    ];
    await runOp("scatter", operands, { axis: 1, batch: 1, reduction: "add" });
  });

  test("of rows that meet, the last stays", async () => {
    const updates = given("f32", [33, 4], [33, 4], 2);
    await runOp("scatter", [given("f32", [5, 4]), among("i64", [33], 0, 4), updates], {});
  });

  test.each(["none", "add"])("wide rows that meet: %s", async (reduction) => {
    for (const [rows, count] of [
      [1, 1],
      [5, 33],
      [17, 1],
    ] as const)
      for (const dims of [[128], [3, 65]]) {
        const [x, updates] = [
          given("f32", [rows, ...dims], [b, ...dims]),
          given("f32", [count, ...dims], [t, ...dims], 2),
        ];
        await runOp("scatter", [x, among("i64", [count], 1 - rows, rows - 1, [t]), updates], { reduction });
        await runOp(
          "scatter",
          [x, among("i32", [count, 1], 0, rows - 1, [t, 1]), given("f32", [count, 1, ...dims], [t, 1, ...dims], 3)],
          { reduction },
        );
      }
  });

  describe.each(["i64", "i32"] as const)("rows with as many updates each, by %s", (dtype) => {
    const run = (rows: number, at: readonly number[]) =>
      runOp(
        "scatter",
        [
          given("f32", [rows, 128], [s, 128]),
          { feed: fromNumbers(dtype, [3 * rows], at), shape: [mul(3, s)] },
          given("f32", [3 * rows, 128], [mul(3, s), 128], 2),
        ],
        { reduction: "add" },
      );

    test.each([0, 1, 17])("%i rows", async (rows) => {
      const model = await run(
        rows,
        Array.from({ length: 3 * rows }, (_, i) => (5 * i) % rows),
      );
      expect(operators(model)).toContain("If");
    });

    test("some with more than others", async () => {
      await run(4, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 2]);
      await run(4, new Array<number>(12).fill(3));
    });

    test("counted from the end", async () => {
      await run(4, [0, 1, 2, -1, 0, 1, 2, 3, 0, 1, 2, 3]);
      await run(2, new Array<number>(6).fill(-1));
    });
  });

  test("axes between, scalars, nothing", async () => {
    const x = given("f32", [2, 3, 5, 4], [b, 3, s, 4]);
    const at = among("i64", [2, 1, 7], -5, 4, [b, 1, 7]);
    const reduction = "add";
    await runOp("scatter", [x, at, given("f32", [2, 3, 1, 7, 4], [b, 3, 1, 7, 4])], { axis: 2, batch: 1, reduction });
    await runOp("scatter", [given("f64", [5]), among("i64", [], 2, 2), given("f64", [])], { reduction });
    await runOp("scatter", [given("f32", [5]), among("i64", [0], 0, 0), given("f32", [0])], { reduction });
  });

  test.each([17, 18, 24])("opset %i", async (opset) => {
    const operands = [given("f32", [3, 4]), among("i64", [9], 0, 2), given("f32", [9, 4])];
    await runOp("scatter", operands, { reduction: "add" }, opset);
  });

  test.each([
    ["f64", 20_000, 20_000],
    ["f32", 1024, 1024],
    ["f32", 1024, t],
    ["f32", 20_000, t],
  ] as const)("of %s loses no sum with many threads: %i rows", async (dtype, rows, count) => {
    const arena = new Arena();
    const { build } = arena;
    const width = 64;
    const [x, at, updates] = [
      build.input({ name: "x", dtype, shape: [1, width] }),
      build.input({ name: "at", dtype: "i64", shape: [count] }),
      build.input({ name: "updates", dtype, shape: [count, width] }),
    ];
    const graph = graphOf(
      "sums",
      [x, at, updates],
      [["y", build.scatter(x, at, updates, { axis: 0, reduction: "add" })]],
    );
    const bytes = encodeModel(exportGraph(graph, { arena, target: standard(), weights: reader() })).model;
    const session = await openSession(bytes, { threads: 8 });
    const feeds = new Map([
      ["x", fromNumbers(dtype, [1, width], new Array(width).fill(0))],
      ["at", fromNumbers("i64", [rows], new Array(rows).fill(0))],
      ["updates", fromNumbers(dtype, [rows, width], new Array(rows * width).fill(1))],
    ]);
    for (let run = 0; run < 20; run++)
      expect(new Set(toFloat64((await session.run(feeds)).get("y")!))).toEqual(new Set([rows]));
    await session.close();
  });
});

describe("topK", () => {
  const numeric = stored.filter((dtype) => dtype !== "bool");

  test.each(numeric)("%s, many of them equal: the lower index first", async (dtype) => {
    for (const [size, k] of [
      [1, 1],
      [15, 15],
      [17, 2],
      [33, 5],
      [257, 257],
      [1025, 700],
    ] as const)
      for (const largest of [true, false]) {
        const low = dtype === "u8" ? 0 : -2;
        await runOp("topK", [among(dtype, [3, size], low, 2, [b, s])], { k, largest });
        await runOp("topK", [among(dtype, [size, 3], low, 2, [s, b])], { k, largest, axis: 0 });
      }
  });

  test.each(numeric)("where the first largest of %s stands", async (dtype) => {
    const arena = new Arena();
    const low = dtype === "u8" ? 0 : -2;
    const { feed, shape } = among(dtype, [3, 33], low, 2, [b, s]);
    const x = arena.build.input({ name: "x", dtype, shape });
    const places = [true, false].map((largest) => arena.node("topK", [x], { k: 1, axis: 1, largest }).results[1]!);
    const named = places.map((value, i) => [`y${i}`, value] as const);
    for (const opset of [17, 23])
      await check(arena, graphOf("g", [x], named), new Map([["x", feed]]), standard(opset), {
        levels: ["disabled", "all"],
      });
  });

  test("a symbolic k, all, none, infinities", async () => {
    await runOp("topK", [given("f32", [2, 17], [b, s])], { k: s, largest: false });
    await runOp("topK", [given("f32", [2, 17], [b, s]), given("f32", [3], [t])].slice(0, 1), { k: b });
    await runOp("topK", [given("f32", [2, 17])], { k: 0 });
    const infinite = fromNumbers("f32", [6], [Infinity, -Infinity, 1, Infinity, -Infinity, 0]);
    for (const largest of [true, false]) await runOp("topK", [{ feed: infinite, shape: [6] }], { k: 6, largest });
  });

  test.each([17, 18, 23, 24])("opset %i", async (opset) => {
    await runOp("topK", [among("f32", [3, 17], 0, 3)], { k: 9 }, opset);
  });
});
