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

test("rows of special structure come by turns", () => {
  const rowsOf = (spec: Omit<InputSpec, "name">) => {
    const drawn = values({ ...spec, dims: [14, 9] });
    return Array.from({ length: 14 }, (_, row) => drawn.slice(9 * row, 9 * row + 9));
  };
  const floats = rowsOf({ dtype: "f32", dims: [], fill: { kind: "rows" } });
  const largest = floats.map((row) => Math.max(...row.map(Math.abs)));
  expect(floats.filter((row) => row.every((value) => value === 0))).toHaveLength(2);
  expect(floats.filter((row) => new Set(row).size === 1).length).toBeGreaterThanOrEqual(4);
  expect(Math.max(...largest)).toBeGreaterThan(5);
  expect(largest.filter((value) => value > 0 && value < 0.01)).toHaveLength(2);
  const masks = rowsOf({ dtype: "i64", dims: [], fill: { kind: "rows", low: 0, high: 2 } }).map((row) => row.join(""));
  for (const wanted of ["000000000", "111111111", "010101010"]) expect(masks).toContain(wanted);
  expect(masks.some((row) => /^1+0+$/.test(row))).toBe(true);
});

test("tensors no memory holds are not made up", () => {
  const spec = { name: "x", dtype: "f32", dims: [2 ** 31] } as const;
  expect(() => randomInputs([spec], 0)).toThrow(expect.objectContaining({ code: "QKV453" }));
});
