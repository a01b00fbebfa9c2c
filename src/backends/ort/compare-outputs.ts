import { fail } from "../../ir/diagnostics.ts";
import { type DType, isFloat } from "../../ir/dtype.ts";
import { elementCount, type HostTensor, toFloat64 } from "../../ir/tensor.ts";

/** An element agrees when |actual − expected| ≤ absolute + relative · (largest finite |expected| of that output). */
export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
  /** NaN must come where NaN is expected. A runtime is not held to it: kernels clear rows whose softmax has nothing to see. */
  readonly sameNaN?: boolean;
}

/**
 * Per element type of the actual output. Relative parts allow for reordered sums (about a thousand roundings of f32,
 * ten of f16, five of bf16); absolute parts only matter where a whole output is about zero.
 */
export const tolerances: Readonly<Record<DType, Tolerance>> = {
  f64: { absolute: 1e-12, relative: 1e-10 },
  f32: { absolute: 1e-6, relative: 1e-4 },
  f16: { absolute: 1e-4, relative: 1e-2 },
  bf16: { absolute: 1e-4, relative: 4e-2 },
  i64: { absolute: 0, relative: 0 },
  i32: { absolute: 0, relative: 0 },
  i8: { absolute: 0, relative: 0 },
  u8: { absolute: 0, relative: 0 },
  bool: { absolute: 0, relative: 0 },
};

export interface OutputDifference {
  readonly name: string;
  /** Largest |actual − expected|; NaN where infinities or NaNs are not where they may be. */
  readonly maxAbsError: number;
  /** `maxAbsError` over the largest finite |expected| of the output: an error of the whole, not of one small element. */
  readonly maxRelError: number;
  readonly equal: boolean;
  /** Flat index of the worst element, where any differs. */
  readonly worstIndex?: number;
}

export interface Comparison {
  /** Largest over the outputs. */
  readonly maxAbsError: number;
  readonly maxRelError: number;
  /** Whether every output agrees. Where false, no speed-up may be reported: see `speedup`. */
  readonly equal: boolean;
  readonly outputs: readonly OutputDifference[];
}

/**
 * Compares outputs by name. An expected tensor may be the f64 of a reference evaluation whatever the actual dtype.
 * Integers and bools must be exactly equal, infinities must be in the same places, and NaN may be only where it is
 * expected; there anything may be, unless the tolerance says otherwise.
 *
 * Throws QKV449 where the names, dtypes or dims do not match.
 */
export function compareOutputs(
  expected: ReadonlyMap<string, HostTensor>,
  actual: ReadonlyMap<string, HostTensor>,
  tolerance?: Tolerance,
): Comparison {
  const names = (tensors: ReadonlyMap<string, HostTensor>) => [...tensors.keys()].sort().join(", ");
  if (names(expected) !== names(actual) || expected.size !== actual.size)
    fail("QKV449", `outputs ${names(actual) || "(none)"} are not the expected ${names(expected) || "(none)"}`);
  const outputs = [...expected].map(([name, tensor]) => compareOne(name, tensor, actual.get(name)!, tolerance));
  return {
    maxAbsError: outputs.reduce((worst, output) => Math.max(worst, output.maxAbsError), 0),
    maxRelError: outputs.reduce((worst, output) => Math.max(worst, output.maxRelError), 0),
    equal: outputs.every(({ equal }) => equal),
    outputs,
  };
}

const described = ({ dtype, dims }: HostTensor): string => `${dtype}[${dims.join(", ")}]`;

function compareOne(
  name: string,
  expected: HostTensor,
  actual: HostTensor,
  tolerance: Tolerance = tolerances[actual.dtype],
): OutputDifference {
  const sameDims =
    expected.dims.length === actual.dims.length && expected.dims.every((d, axis) => d === actual.dims[axis]);
  if (!sameDims || (expected.dtype !== actual.dtype && expected.dtype !== "f64"))
    fail("QKV449", `output \`${name}\` is ${described(actual)}, expected ${described(expected)}`);
  for (const tensor of [expected, actual])
    if (tensor.data.length !== elementCount(tensor.dims))
      fail("QKV449", `output \`${name}\`: ${described(tensor)} with ${tensor.data.length} elements`);
  if (expected.dtype === "i64") return compareBigInts(name, expected, actual);
  return compareNumbers(
    name,
    toFloat64(expected),
    toFloat64(actual),
    isFloat(actual.dtype) ? tolerance : tolerances.i64,
  );
}

function compareNumbers(name: string, expected: Float64Array, actual: Float64Array, tol: Tolerance): OutputDifference {
  let largest = 0;
  for (const value of expected) {
    const magnitude = Math.abs(value);
    if (magnitude > largest && magnitude < Number.POSITIVE_INFINITY) largest = magnitude;
  }
  let worst = 0;
  let worstIndex = -1;
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!];
    // Object.is would tell 0 from −0, which arithmetic may swap.
    if (a === b || (Number.isNaN(b) && (Number.isNaN(a) || !tol.sameNaN))) continue;
    const error = Math.abs(a - b);
    if (!Number.isFinite(error))
      return { name, maxAbsError: Number.NaN, maxRelError: Number.NaN, equal: false, worstIndex: i };
    if (error > worst) [worst, worstIndex] = [error, i];
  }
  return {
    name,
    maxAbsError: worst,
    maxRelError: worst === 0 ? 0 : worst / largest,
    equal: worst <= tol.absolute + tol.relative * largest,
    ...(worstIndex < 0 ? {} : { worstIndex }),
  };
}

/** Through bigint: two different values beyond 2^53 may be one float64. */
function compareBigInts(name: string, expected: HostTensor, actual: HostTensor): OutputDifference {
  let [worst, largest, worstIndex] = [0n, 0n, -1];
  for (let i = 0; i < expected.data.length; i++) {
    const [a, b] = [BigInt(actual.data[i]!), BigInt(expected.data[i]!)];
    const error = a > b ? a - b : b - a;
    const magnitude = b < 0n ? -b : b;
    if (magnitude > largest) largest = magnitude;
    if (error > worst) [worst, worstIndex] = [error, i];
  }
  return {
    name,
    maxAbsError: Number(worst),
    maxRelError: worst === 0n ? 0 : Number(worst) / Number(largest),
    equal: worst === 0n,
    ...(worstIndex < 0 ? {} : { worstIndex }),
  };
}

/**
 * How many times faster the candidate is, or undefined where its outputs are not the reference's: a wrong answer has
 * no speed. Both medians in the same unit.
 */
export function speedup(
  reference: { readonly median: number },
  candidate: { readonly median: number; readonly equal: boolean },
): number | undefined {
  const ratio = reference.median / candidate.median;
  return candidate.equal && Number.isFinite(ratio) && ratio > 0 ? ratio : undefined;
}
