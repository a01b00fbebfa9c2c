import { type DType, isFloat } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../../ir/tensor.ts";
import { sameShape } from "../../ir/types.ts";

const uniform = new WeakMap<HostTensor, number | null>();
const scanLimit = 1 << 20;

function uniformOf(tensor: HostTensor): number | null {
  if (tensor.data.length === 0 || tensor.data.length > scanLimit) return null;
  const first = tensor.data[0]!;
  for (const element of tensor.data) if (element !== first) return null;
  const number = toFloat64({ ...tensor, dims: [], data: tensor.data.slice(0, 1) })[0]!;
  // Nothing may be concluded from NaN, nor from an integer that a float64 may only be near to.
  return Number.isNaN(number) || (!isFloat(tensor.dtype) && !Number.isSafeInteger(number)) ? null : number;
}

/** The number a constant holds in all its elements; undefined for anything else. */
export function scalarOf(value: Value): number | undefined {
  if (value.node.op !== "constant") return undefined;
  const tensor = value.node.attrs.get("value") as HostTensor;
  let number = uniform.get(tensor);
  if (number === undefined) uniform.set(tensor, (number = uniformOf(tensor)));
  return number ?? undefined;
}

export const tensorOf = (value: Value): HostTensor | undefined =>
  value.node.op === "constant" ? (value.node.attrs.get("value") as HostTensor) : undefined;

/** What holds where a value is 1, being 0 elsewhere; undefined where it is not known to be written so. */
export function truthOf({ node, type }: Value): Value | undefined {
  const [first, second, third] = node.operands;
  if (node.op === "cast") return first!.type.dtype === "bool" ? first : undefined;
  const isTruth = node.op === "select" && scalarOf(second!) === 1 && scalarOf(third!) === 0;
  return isTruth && sameShape(first!.type.shape, type.shape) ? first : undefined;
}

const precision: Readonly<Partial<Record<DType, number>>> = { f32: 1e-6, f16: 2e-3, bf16: 1.6e-2 };

/**
 * Whether a number stored in `dtype` stands for `expected`; generous to constants written with six digits, but not where
 * the type holds the very number, as it does 0, 1 and 2.
 */
export function isAbout(number: number, expected: number, dtype: DType): boolean {
  if (number === expected) return true;
  if (rounded(expected, dtype) === expected) return false;
  if (Math.abs(number - expected) <= (precision[dtype] ?? 0) * Math.abs(expected)) return true;
  return isFromHalf(number, expected, dtype);
}

/**
 * The very number that half precision had for it, or for what is divided by, before it was widened. Of bf16 such numbers are
 * round ones, 0.8 among them, which people write for themselves.
 */
const isFromHalf = (number: number, expected: number, dtype: DType): boolean =>
  number === rounded(rounded(expected, "f16"), dtype) || number === rounded(1 / rounded(1 / expected, "f16"), dtype);

/** The number as `dtype` stores it. */
export const rounded = (number: number, dtype: DType): number => toFloat64(fromNumbers(dtype, [], [number]))[0]!;

/**
 * Whether a product with 1/c may stand for a division by c: one rounding apart, and neither overflows. In f64 not even
 * that is allowed: indices are computed in it, and ⌊49 · (1/49)⌋ is 0.
 */
export function hasReciprocal(number: number, dtype: DType): boolean {
  if (!isFloat(dtype) || number === 0 || !Number.isFinite(number)) return false;
  if (dtype === "f64" && !isPowerOfTwo(number)) return false;
  const inverse = rounded(1 / number, dtype);
  return Number.isFinite(inverse) && Math.abs(inverse) >= leastNormal[dtype]!;
}

/** Products with these are exact. */
export const isPowerOfTwo = (number: number): boolean => Number.isInteger(Math.log2(Math.abs(number)));

export const leastNormal: Readonly<Partial<Record<DType, number>>> = {
  f64: 2.2250738585072014e-308,
  f32: 1.1754943508222875e-38,
  bf16: 1.1754943508222875e-38,
  f16: 6.103515625e-5,
};

const ones = new Map<string, HostTensor>();

/** Ones along one axis; the same tensor each time, so that equal nodes are one. */
export function uniformOnes(dtype: DType, width: number): HostTensor {
  const key = `${dtype} ${width}`;
  let tensor = ones.get(key);
  if (!tensor) ones.set(key, (tensor = fromNumbers(dtype, [width], new Float64Array(width).fill(1))));
  return tensor;
}
