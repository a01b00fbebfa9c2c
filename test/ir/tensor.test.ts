import { describe, expect, test } from "vitest";
import { QkvError } from "../../src/ir/diagnostics.ts";
import { byteSize, dtypes, viewBytes } from "../../src/ir/dtype.ts";
import { castTensor, elementCount, fromNumbers, hostTensor, tensorBytes, toFloat64 } from "../../src/ir/tensor.ts";

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof QkvError) return error.code;
    throw error;
  }
  return "nothing thrown";
};

test("elements of scalars and of tensors with a zero dim", () => {
  expect(elementCount([])).toBe(1);
  expect(elementCount([3, 0, 5])).toBe(0);
  expect(elementCount([31, 33])).toBe(1023);
});

test("data that does not match the dims is refused", () => {
  expect(codeOf(() => hostTensor("f32", [2, 2], new Float32Array(3)))).toBe("QKV202");
  expect(codeOf(() => fromNumbers("f32", [], []))).toBe("QKV202");
});

describe.each(dtypes)("%s", (dtype) => {
  test.each([1, 15, 17, 31, 33, 64, 65])("%i small integers go in and come out", (length) => {
    const values = Array.from({ length }, (_, i) => (dtype === "bool" ? i % 2 : i));
    const tensor = fromNumbers(dtype, [length], values);
    expect([...toFloat64(tensor)]).toEqual(values);
    expect(tensorBytes(tensor).length).toBe(length * byteSize(dtype));
  });

  test("bytes at an odd address read as the same elements", () => {
    const bytes = tensorBytes(fromNumbers(dtype, [5], [0, 1, 1, 0, 1]));
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    expect([...toFloat64(hostTensor(dtype, [5], viewBytes(dtype, shifted.subarray(1))))]).toEqual([0, 1, 1, 0, 1]);
  });

  test.each(dtypes)("casts to %s keep small integers", (other) => {
    const cast = castTensor(fromNumbers(dtype, [4], [0, 1, 1, 0]), other);
    expect(cast.dtype).toBe(other);
    expect([...toFloat64(cast)]).toEqual([0, 1, 1, 0]);
  });

  test("casting to its own type is the tensor itself", () => {
    const tensor = fromNumbers(dtype, [1], [1]);
    expect(castTensor(tensor, dtype)).toBe(tensor);
  });
});

test("integers truncate, and what is not finite is zero", () => {
  const values = [1.9, -1.9, Number.NaN, Number.POSITIVE_INFINITY];
  expect([...toFloat64(fromNumbers("i64", [4], values))]).toEqual([1, -1, 0, 0]);
  expect([...toFloat64(fromNumbers("i32", [4], values))]).toEqual([1, -1, 0, 0]);
});

test("a view of part of a buffer gives that part's bytes", () => {
  const all = Float32Array.of(1, 2, 3, 4);
  expect([...new Float32Array(tensorBytes(hostTensor("f32", [2], all.subarray(1, 3))).slice().buffer)]).toEqual([2, 3]);
});
