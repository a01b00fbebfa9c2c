import { expect, test } from "vitest";
import { type InputSpec, randomInputs } from "../../../src/backends/ort/inputs.ts";
import { dtypes } from "../../../src/ir/dtype.ts";
import { toFloat64 } from "../../../src/ir/tensor.ts";

const one = (spec: Omit<InputSpec, "name">, seed = 7) => randomInputs([{ name: "x", ...spec }], seed).get("x")!;
const values = (spec: Omit<InputSpec, "name">, seed?: number) => Array.from(toFloat64(one(spec, seed)));

test.each(dtypes)("%s depends on the seed and the name only", (dtype) => {
  const spec = { dtype, dims: [3, 17] };
  expect(one(spec, 1)).toEqual(one(spec, 1));
  expect(one(spec, 1)).not.toEqual(one(spec, 2));
  expect(one(spec, 1)).not.toEqual(one(spec, 1 + 2 ** 32));
  const several = randomInputs(
    [
      { name: "w", ...spec },
      { name: "x", ...spec },
    ],
    1,
  );
  expect(several.get("x")).toEqual(one(spec, 1));
  expect(several.get("w")).not.toEqual(several.get("x"));
});

test("normal values have mean 0 and variance 1", () => {
  const drawn = values({ dtype: "f64", dims: [10_001] });
  const mean = drawn.reduce((sum, value) => sum + value, 0) / drawn.length;
  const variance = drawn.reduce((sum, value) => sum + (value - mean) ** 2, 0) / drawn.length;
  expect(Math.abs(mean)).toBeLessThan(0.05);
  expect(Math.abs(variance - 1)).toBeLessThan(0.06);
  const shifted = values({ dtype: "f64", dims: [1000], fill: { kind: "normal", mean: 100, std: 0 } });
  expect(new Set(shifted)).toEqual(new Set([100]));
});

test("integers take every value of the range and no other", () => {
  const drawn = values({ dtype: "i64", dims: [500], fill: { kind: "integers", low: -2, high: 3 } });
  expect([...new Set(drawn)].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2]);
});

test("a padding mask is ones, then zeros, never none", () => {
  const drawn = values({ dtype: "i64", dims: [40, 15], fill: { kind: "mask" } });
  const rows = Array.from({ length: 40 }, (_, row) => drawn.slice(15 * row, 15 * row + 15).join(""));
  for (const row of rows) expect(row).toMatch(/^1+0*$/);
  expect(new Set(rows).size).toBeGreaterThan(5);
});

test.each([[[]], [[0]], [[1]], [[3, 0, 2]]])("dims %j", (dims) => {
  expect(values({ dtype: "f32", dims })).toHaveLength(dims.reduce((product: number, dim) => product * dim, 1));
});

test.each([
  ["negative dim", { dtype: "f32", dims: [-1] }],
  ["fractional dim", { dtype: "f32", dims: [1.5] }],
  ["too many elements", { dtype: "f32", dims: [2 ** 40, 2 ** 40] }],
  ["empty range", { dtype: "i64", dims: [1], fill: { kind: "integers", low: 3, high: 3 } }],
  ["no range", { dtype: "i64", dims: [1], fill: { kind: "integers", low: 0, high: Number.NaN } }],
] as const)("%s", (_, spec) => {
  expect(() => one(spec)).toThrow(expect.objectContaining({ code: "QKV451" }));
});

test("a seed that is no whole number, and a name used twice", () => {
  const spec = { name: "x", dtype: "f32", dims: [1] } as const;
  expect(() => randomInputs([spec], 0.5)).toThrow(expect.objectContaining({ code: "QKV451" }));
  expect(() => randomInputs([spec, spec], 0)).toThrow(expect.objectContaining({ code: "QKV451" }));
});
