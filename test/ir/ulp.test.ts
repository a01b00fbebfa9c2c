import { expect, test } from "vitest";
import { maxUlpError, ulp } from "../../src/ir/ulp.ts";

test("a unit in the last place is the distance to the next number of the type", () => {
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  for (const x of [1, 1.5, 0.1, 3e38, 2 ** 24, 1 - 2 ** -24, 2 ** -126, 2 ** -149, 0]) {
    float[0] = x;
    const [at] = float;
    bits[0]! += 1;
    expect(ulp(at!, "f32")).toBe(float[0]! - at!);
    expect(ulp(-at!, "f32")).toBe(float[0]! - at!);
  }
  expect([ulp(1, "f64"), ulp(1, "f16"), ulp(1, "bf16"), ulp(5, "i64")]).toEqual([2 ** -52, 2 ** -10, 2 ** -7, 1]);
});

test("errors count in units of the expected value, of its typical size where it is smaller", () => {
  expect(maxUlpError([1, 1], [1 + 3 * 2 ** -23, 1], "f32")).toBe(3);
  expect(maxUlpError([1, 1], [1 + 3 * 2 ** -23, 1], "f16")).toBe(3 * 2 ** -13);
  expect(maxUlpError([1, -1, 1e-9, 1], [1, -1, 2 ** -23, 1], "f32")).toBeCloseTo(2, 1);
  expect(maxUlpError([0, 0], [0, 0], "f32")).toBe(0);
  expect(maxUlpError([7, 2 ** 40], [9, 2 ** 40], "i64")).toBe(2);
});

test("infinities in the same places and NaNs where they are expected are no error, elsewhere they are", () => {
  const [inf, nan] = [Number.POSITIVE_INFINITY, Number.NaN];
  expect(maxUlpError([inf, nan, 1], [inf, nan, 1], "f32")).toBe(0);
  expect(maxUlpError([inf, 1], [-inf, 1], "f32")).toBeNaN();
  expect(maxUlpError([1], [nan], "f32")).toBeNaN();
  expect(maxUlpError([nan, 1], [3, 1], "f32")).toBe(0);
});
