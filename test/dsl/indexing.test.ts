import { describe, expect, test } from "vitest";
import { compile } from "../../src/compile.ts";
import {
  argMax,
  argMin,
  argSort,
  gather,
  input,
  l2Normalise,
  logSumExp,
  model,
  oneHot,
  roll,
  scatter,
  sort,
  type Tensor,
  takeAlong,
  topK,
} from "../../src/index.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";
import type { DType } from "../../src/ir/dtype.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../../src/ir/tensor.ts";
import { runModel } from "../../src/session.ts";

type Feeds = Record<string, HostTensor>;

/** What a body makes of inputs with symbolic dims, in float64 and in the runtime, naive and optimised: all the same. */
async function made(feeds: Feeds, body: (xs: Record<string, Tensor>) => Record<string, Tensor>) {
  const declared = model("made", () =>
    body(
      Object.fromEntries(
        Object.entries(feeds).map(([name, { dtype, dims }]) => [
          name,
          input(
            name,
            dtype,
            dims.map((size) => `n${size}`),
          ) as Tensor,
        ]),
      ),
    ),
  );
  const given = new Map(Object.entries(feeds));
  const { graph } = declared.build();
  const reference = evaluateGraph(graph, given);
  for (const naive of [true, false]) {
    const results = await runModel((await compile(declared, { naive })).onnx(), given);
    for (const [name, { dims, data }] of reference) {
      const got = results.get(name)!;
      expect(got.dims).toEqual(dims);
      toFloat64(got).forEach((x, i) => expect(x).toBeCloseTo(data[i]!, 5));
    }
  }
  return Object.fromEntries([...reference].map(([name, { data }]) => [name, [...data]]));
}

const tensor = (dtype: DType, dims: number[], ...values: number[]) => fromNumbers(dtype, dims, values);
const x = tensor("f32", [2, 5], 3, 1, 4, 1, 5, 9, 2, 6, 5, 3);

describe("ranking", () => {
  test("topK of equal elements takes the first, from either side, along any axis", async () => {
    const seen = await made({ x }, ({ x }) => {
      const [values, indices] = topK(x!, 3);
      const [least, where] = topK(x!, "n5 - 2", { smallest: true });
      const [columns] = topK(x!, 1, { axis: 0 });
      return { values, indices, least, where, columns };
    });
    expect(seen).toEqual({
      values: [5, 4, 3, 9, 6, 5],
      indices: [4, 2, 0, 0, 2, 3],
      least: [1, 1, 3, 2, 3, 5],
      where: [1, 3, 0, 1, 4, 3],
      columns: [9, 2, 6, 5, 5],
    });
  });

  test("sort and argSort are stable", async () => {
    const seen = await made({ x }, ({ x }) => ({
      up: sort(x!),
      down: sort(x!, { descending: true }),
      order: argSort(x!),
      back: argSort(x!, { descending: true }),
      again: takeAlong(x!, argSort(x!)),
      inverse: takeAlong(sort(x!), argSort(argSort(x!))),
      across: argSort(x!, { axis: 0 }),
    }));
    expect(seen).toEqual({
      up: [1, 1, 3, 4, 5, 2, 3, 5, 6, 9],
      down: [5, 4, 3, 1, 1, 9, 6, 5, 3, 2],
      order: [1, 3, 0, 2, 4, 1, 4, 3, 2, 0],
      back: [4, 2, 0, 1, 3, 0, 2, 3, 4, 1],
      again: [1, 1, 3, 4, 5, 2, 3, 5, 6, 9],
      inverse: [3, 1, 4, 1, 5, 9, 2, 6, 5, 3],
      across: [0, 0, 0, 0, 1, 1, 1, 1, 1, 0],
    });
  });

  test("argMax and argMin answer the first", async () => {
    const seen = await made({ x }, ({ x }) => ({
      most: argMax(x!),
      least: argMin(x!),
      kept: argMax(x!, { axis: 0, keepDims: true }),
    }));
    expect(seen).toEqual({ most: [4, 0], least: [1, 1], kept: [1, 1, 1, 1, 0] });
  });
});

describe("places", () => {
  const at = tensor("i64", [2, 3], 4, 0, 0, -1, 1, 2);

  test("gather within each batch", async () => {
    const rows = tensor("f32", [2, 3, 2], 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    const which = tensor("i32", [2, 1], 2, 0);
    const seen = await made({ x, at, rows, which }, ({ x, at, rows, which }) => ({
      elements: gather(x!, at!, { axis: 1, batch: 1 }),
      picked: gather(rows!, which!, { batch: 1 }),
      columns: gather(rows!, which!, { axis: 1, batch: 1 }),
      plain: gather(x!, which!, 1),
    }));
    expect(seen.elements).toEqual([5, 3, 3, 3, 2, 6]);
    expect(seen.picked).toEqual([4, 5, 6, 7]);
    expect(seen.columns).toEqual([4, 5, 6, 7]);
    expect(seen.plain).toEqual([4, 3, 6, 9]);
  });

  test("takeAlong any axis", async () => {
    const up = tensor("i64", [1, 5], 1, 0, 1, 0, 1);
    const seen = await made({ x, at, up }, ({ x, at, up }) => ({
      along: takeAlong(x!, at!),
      rows: takeAlong(x!, up!, 0),
    }));
    expect(seen).toEqual({ along: [5, 3, 3, 3, 2, 6], rows: [9, 1, 6, 1, 3] });
  });

  test("scatter replaces, or adds", async () => {
    const updates = tensor("f32", [2, 3], 10, 20, 30, 40, 50, 60);
    const seen = await made({ x, at, updates }, ({ x, at, updates }) => ({
      last: scatter(x!, at!, updates!, { axis: 1, batch: 1 }),
      sums: scatter(x!, at!, updates!, { axis: 1, batch: 1, reduction: "add" }),
    }));
    expect(seen.last).toEqual([30, 1, 4, 1, 10, 9, 50, 60, 5, 40]);
    expect(seen.sums).toEqual([53, 1, 4, 1, 15, 9, 52, 66, 5, 43]);
  });

  test("oneHot", async () => {
    const seen = await made({ at: tensor("i64", [3], 2, 0, 5) }, ({ at }) => ({
      marks: oneHot(at!, 3),
      flags: oneHot(at!, "n3", "bool"),
    }));
    expect(seen).toEqual({ marks: [0, 0, 1, 1, 0, 0, 0, 0, 0], flags: [0, 0, 1, 1, 0, 0, 0, 0, 0] });
  });

  test("roll comes round", async () => {
    const seen = await made({ x }, ({ x }) => ({
      right: roll(x!, { axis: 1, shift: 2 }),
      left: roll(x!, { axis: -1, shift: -1 }),
      round: roll(x!, { axis: 0, shift: 3 }),
    }));
    expect(seen.right).toEqual([1, 5, 3, 1, 4, 5, 3, 9, 2, 6]);
    expect(seen.left).toEqual([1, 4, 1, 5, 3, 2, 6, 5, 3, 9]);
    expect(seen.round).toEqual([9, 2, 6, 5, 3, 3, 1, 4, 1, 5]);
  });
});

describe("sums", () => {
  test("logSumExp of large, small and infinite numbers", async () => {
    const extremes = tensor("f32", [4, 2], 1000, 1000, -1000, -Infinity, -Infinity, -Infinity, Infinity, 0);
    const declared = model("m", () => {
      const x = input("x", "f32", ["n", 2]);
      return { flat: logSumExp(x, { axes: -1 }), kept: logSumExp(x, { axes: [1], keepDims: true }) };
    });
    const results = await runModel((await compile(declared)).onnx(), new Map([["x", extremes]]));
    const expected = [1000 + Math.LN2, -1000, -Infinity, Infinity];
    expect(results.get("kept")!.dims).toEqual([4, 1]);
    for (const name of ["flat", "kept"])
      toFloat64(results.get(name)!).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 4));
  });

  test("l2Normalise makes vectors of length 1, and leaves zero alone", async () => {
    const seen = await made({ x: tensor("f32", [3, 2], 3, 4, 0, 0, -5, 12) }, ({ x }) => ({
      rows: l2Normalise(x!),
      columns: l2Normalise(x!, { axis: 0 }),
    }));
    [0.6, 0.8, 0, 0, -5 / 13, 12 / 13].forEach((value, i) => expect(seen.rows![i]).toBeCloseTo(value, 6));
    [3 / Math.sqrt(34), 4 / Math.sqrt(160)].forEach((value, i) => expect(seen.columns![i]).toBeCloseTo(value, 6));
  });
});

describe("refusals", () => {
  /** What the type checker would refuse: these tests stand for authors who write JavaScript. */
  const loose = (value: unknown) => value as never;

  function refused(body: (x: Tensor, at: Tensor) => unknown): string {
    const declared = model("wrong", () =>
      loose(body(input("x", "f32", ["b", "n", 8]), input("at", "i64", ["b", "m"]))),
    );
    try {
      declared.build();
    } catch (error) {
      if (!(error instanceof QkvError)) throw error;
      expect(error.details.location?.file).toMatch(/indexing\.test\.ts$/);
      return `${error.code} ${error.message}`;
    }
    throw new Error("nothing was thrown");
  }

  test.each([
    ["float indices", (x: Tensor) => gather(x, x), /QKV109 gather: indices are f32/],
    ["batches that differ", (x: Tensor, at: Tensor) => gather(x, at, { axis: 2, batch: 2 }), /QKV107 gather/],
    ["an axis that is shared", (x: Tensor, at: Tensor) => gather(x, at, { axis: 0, batch: 1 }), /QKV107 gather/],
    [
      "more shared axes than there are",
      (x: Tensor, at: Tensor) => gather(x, at, { batch: 3 }),
      /QKV110 gather: batch is 3/,
    ],
    ["an unknown option", (x: Tensor, at: Tensor) => gather(x, at, loose({ along: 1 })), /QKV120 gather has no option/],
    [
      "updates of another shape",
      (x: Tensor, at: Tensor) => scatter(x, at, x, { batch: 1 }),
      /QKV210 scatter: updates are/,
    ],
    [
      "an unknown reduction",
      (x: Tensor, at: Tensor) => scatter(x, at, x, loose({ reduction: "max" })),
      /QKV120 scatter/,
    ],
    ["updates of another type", (x: Tensor, at: Tensor) => scatter(x, at, at), /QKV109 scatter: element types differ/],
    [
      "ranks that differ",
      (x: Tensor, at: Tensor) => takeAlong(x, at),
      /QKV110 takeAlong: x has 3 axes, indices have 2/,
    ],
    ["more than there are", (x: Tensor) => topK(x, 9), /QKV210 topK: there are no 9 of 8 elements/],
    ["a k that is none", (x: Tensor) => topK(x, 0), /QKV101 k is 0/],
    ["truth values", (x: Tensor) => topK(x.less(0), 1), /QKV109 topK: x is bool/],
    ["an axis outside", (x: Tensor) => argSort(x, { axis: 3 }), /QKV110 argSort: axis 3/],
    ["indices that are no integers", (x: Tensor) => oneHot(x, 3), /QKV109 oneHot/],
    ["half a step", (x: Tensor) => roll(x, { axis: 0, shift: 0.5 }), /QKV101 roll: shift is 0.5/],
    ["logs of integers", (_: Tensor, at: Tensor) => logSumExp(at, { axes: 0 }), /QKV109 logSumExp: x is i64/],
    ["lengths of integers", (_: Tensor, at: Tensor) => l2Normalise(at), /QKV109 l2Normalise: x is i64/],
    ["no epsilon", (x: Tensor) => l2Normalise(x, { epsilon: 0 }), /QKV120 epsilon is 0/],
  ])("%s", (_, body, message) => expect(refused(body)).toMatch(message));
});
