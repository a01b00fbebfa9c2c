import { expect, test } from "vitest";
import { compareOutputs, speedup } from "../../../src/backends/ort/compare-outputs.ts";
import type { DType } from "../../../src/ir/dtype.ts";
import { fromNumbers, type HostTensor } from "../../../src/ir/tensor.ts";

const y = (dtype: DType, ...values: number[]) => new Map([["y", fromNumbers(dtype, [values.length], values)]]);
const { NaN: nan, POSITIVE_INFINITY: inf } = Number;

test.each([
  ["f32", [1, 2], [1, 2.0001], true],
  ["f32", [1, 2], [1, 2.001], false],
  // Scaled by the output's own magnitude, not by one.
  ["f32", [1e-3, 2e-3], [1e-3, 2.01e-3], false],
  ["f32", [1e6, 0], [1e6, 50], true],
  ["f16", [1, 2], [1, 2.01], true],
  ["f16", [1, 2], [1, 2.1], false],
  ["bf16", [1, 2], [1, 2.06], true],
  ["f64", [1, 2], [1, 2.000001], false],
  ["i32", [1, 2], [1, 3], false],
  ["i64", [1, 2], [1, 2], true],
  ["bool", [1, 0], [1, 1], false],
  ["f32", [0, 0], [0, -0], true],
  ["f32", [nan, 1, inf, -inf], [nan, 1, inf, -inf], true],
  ["f32", [1, nan], [nan, 1], false],
  ["f32", [1, nan], [1, 0], true],
  ["f32", [inf], [-inf], false],
  ["f32", [1], [inf], false],
  ["f32", [1], [nan], false],
  ["f32", [], [], true],
] as [DType, number[], number[], boolean][])("%s %j against %j: %s", (dtype, expected, actual, equal) => {
  expect(compareOutputs(y(dtype, ...expected), y(dtype, ...actual)).equal).toBe(equal);
});

test("reports the largest error, and where", () => {
  const comparison = compareOutputs(y("f32", 1, -4, 2), y("f32", 1, -4.5, 2.25));
  expect(comparison).toMatchObject({ maxAbsError: 0.5, maxRelError: 0.125, equal: false });
  expect(comparison.outputs[0]).toMatchObject({ name: "y", worstIndex: 1 });
  expect(compareOutputs(y("f32", 1), y("f32", nan)).maxAbsError).toBeNaN();
});

test("64-bit integers beyond 2^53 are told apart", () => {
  const big = (value: bigint) =>
    new Map<string, HostTensor>([["y", { dtype: "i64", dims: [1], data: BigInt64Array.of(value) }]]);
  expect(compareOutputs(big(2n ** 60n), big(2n ** 60n + 1n))).toMatchObject({ equal: false, maxAbsError: 1 });
});

test("a float64 reference stands for any element type", () => {
  expect(compareOutputs(y("f64", 0.1, 0.2), y("f32", 0.1, 0.2)).equal).toBe(true);
  expect(compareOutputs(y("f64", 1, 0), y("bool", 1, 0)).equal).toBe(true);
  expect(compareOutputs(y("f64", 1), y("i64", 2)).equal).toBe(false);
});

test("a tolerance of one's own", () => {
  const tolerance = { absolute: 0.5, relative: 0 };
  expect(compareOutputs(y("f32", 1), y("f32", 1.5), tolerance).equal).toBe(true);
  expect(compareOutputs(y("i32", 1), y("i32", 2), { absolute: 5, relative: 0 }).equal).toBe(false);
  expect(compareOutputs(y("f32", nan), y("f32", 0), { ...tolerance, sameNaN: true }).equal).toBe(false);
  expect(compareOutputs(y("f32", nan), y("f32", nan), { ...tolerance, sameNaN: true }).equal).toBe(true);
});

test.each([
  ["another name", new Map([["z", fromNumbers("f32", [1], [1])]])],
  ["an output more", new Map([...y("f32", 1), ["z", fromNumbers("f32", [1], [1])]])],
  ["no outputs", new Map()],
  ["another dtype", y("f16", 1)],
  ["other dims", new Map([["y", fromNumbers("f32", [1, 1], [1])]])],
  ["too few elements", new Map([["y", { dtype: "f32", dims: [1], data: new Float32Array(0) } as HostTensor]])],
])("%s cannot be compared", (_, actual) => {
  expect(() => compareOutputs(y("f32", 1), actual)).toThrow(expect.objectContaining({ code: "QKV449" }));
});

test("a wrong answer has no speed", () => {
  expect(speedup({ median: 4 }, { median: 2, equal: true })).toBe(2);
  expect(speedup({ median: 4 }, { median: 2, equal: false })).toBeUndefined();
  expect(speedup({ median: 4 }, { median: 0, equal: true })).toBeUndefined();
});
