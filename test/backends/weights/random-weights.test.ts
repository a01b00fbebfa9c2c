import { expect, test } from "vitest";
import { namedBits, randomWeights } from "../../../src/backends/weights/random-weights.ts";
import type { ParamSpec } from "../../../src/backends/weights/store.ts";
import { dtypes } from "../../../src/ir/dtype.ts";
import { toFloat64 } from "../../../src/ir/tensor.ts";
import { errorOf } from "./temp-files.ts";

const spec = (name: string, dims: readonly number[], init?: string): ParamSpec => ({
  name,
  dtype: "f32",
  dims,
  ...(init === undefined ? {} : { init }),
});
const valuesOf = (param: ParamSpec, seed = 7): Float64Array => toFloat64(randomWeights([param], seed).read(param.name));
const moments = (values: Float64Array): readonly [mean: number, deviation: number] => {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  return [mean, Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length)];
};

test("values depend on seed and name, not on the other parameters or the order of reads", () => {
  const [a, b] = [spec("a", [33]), spec("b", [33])];
  const [forward, backward] = [randomWeights([a, b], 1), randomWeights([b, a], 1)];
  forward.read("b");
  expect(forward.read("a")).toEqual(backward.read("a"));
  expect(forward.read("a")).toEqual(forward.read("a"));
  expect(forward.read("a").data).not.toEqual(forward.read("b").data);
  expect(forward.read("a").data).not.toEqual(randomWeights([a], 2).read("a").data);
});

test("the same numbers on every machine and in every release", () => {
  expect([...namedBits(0, "w", 3)]).toMatchInlineSnapshot(`
    [
      3566804236,
      1463796028,
      2064739037,
    ]
  `);
});

test("normal is N(0, 0.02²)", () => {
  const [mean, deviation] = moments(valuesOf(spec("w", [300, 301], "normal")));
  expect(Math.abs(mean)).toBeLessThan(3e-4);
  expect(deviation).toBeCloseTo(0.02, 3);
});

test("xavier is uniform within its bound over the last two dims", () => {
  const bound = Math.sqrt(6 / (200 + 100));
  const values = valuesOf(spec("w", [5, 200, 100], "xavier"));
  const [mean, deviation] = moments(values);
  expect(values.every((x) => Math.abs(x) <= bound)).toBe(true);
  expect(Math.abs(mean)).toBeLessThan(2e-3);
  expect(deviation).toBeCloseTo(bound / Math.sqrt(3), 2);
});

test("anything else is N(0, 1/n), n the last dim", () => {
  expect(moments(valuesOf(spec("w", [300, 400])))[1]).toBeCloseTo(0.05, 3);
  expect(moments(valuesOf(spec("w", [300, 400], "unheard-of")))[1]).toBeCloseTo(0.05, 3);
});

test("zeros, ones, scalars, tensors without elements", () => {
  expect([...valuesOf(spec("w", [3], "zeros"))]).toEqual([0, 0, 0]);
  expect([...valuesOf(spec("w", [3], "ones"))]).toEqual([1, 1, 1]);
  expect(valuesOf(spec("w", [])).length).toBe(1);
  expect(valuesOf(spec("w", [4, 0])).length).toBe(0);
  expect(valuesOf(spec("w", [17], "xavier")).every(Number.isFinite)).toBe(true);
});

test.each(dtypes)("%s can be made", (dtype) => {
  const store = randomWeights(
    [
      { name: "w", dtype, dims: [15], init: "ones" },
      { name: "r", dtype, dims: [15] },
    ],
    0n,
  );
  expect([...toFloat64(store.read("w"))]).toEqual(Array(15).fill(1));
  expect(store.read("r").dtype).toBe(dtype);
});

test("a name that was not declared", () => {
  expect(errorOf(() => randomWeights([spec("weight", [1])], 0).read("weigth")).code).toBe("QKV435");
});
