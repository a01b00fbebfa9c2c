import { type Dim, evaluate } from "../../../src/ir/dim.ts";
import { parseDim } from "../../../src/ir/dim-parse.ts";
import { type DType, isDType, isFloat } from "../../../src/ir/dtype.ts";
import type { RefTensor } from "../../../src/ir/op-def.ts";
import { elementCount } from "../../../src/ir/tensor.ts";
import type { TensorType } from "../../../src/ir/types.ts";

/** `f32[2, S]` as a type; none of the dimensions may hold a comma. */
export function typeOf(text: string): TensorType {
  const [, dtype, shape] = /^(\w+)\[(.*)\]$/.exec(text)!;
  if (!isDType(dtype!)) throw new Error(text);
  return { dtype, shape: shape === "" ? [] : shape!.split(",").map((dim) => parseDim(dim.trim())) };
}

/** Sizes all samples with symbols are run at. */
export const sizes: ReadonlyMap<string, number> = new Map([
  ["S", 5],
  ["T", 3],
  ["B", 2],
  ["past", 4],
]);

export const sizesOf = (shape: readonly Dim[], at = sizes): number[] => shape.map((dim) => evaluate(dim, at));

/** A stream of numbers in [0, 1), the same in every run. */
export function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Values of a type: floats in [-2, 2), or above 0.25 where asked; integers in 1…4; truth values. */
export function valuesOf(dtype: DType, dims: readonly number[], seed: number, positive = false): RefTensor {
  const next = numbers(seed);
  const draw = () => {
    const x = next();
    if (dtype === "bool") return x < 0.6 ? 1 : 0;
    if (!isFloat(dtype)) return 1 + Math.floor(x * 4);
    return positive ? 0.25 + x * 2 : x * 4 - 2;
  };
  return { dims, data: Float64Array.from({ length: elementCount(dims) }, draw) };
}
