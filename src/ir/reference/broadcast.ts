import type { RefTensor } from "../op-def.ts";
import { elementCount } from "../tensor.ts";

/** Row-major strides; 0 where a dimension of 1 is stretched to `dims`. */
export function broadcastStrides(from: readonly number[], dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length).fill(0);
  let stride = 1;
  for (let i = from.length - 1; i >= 0; i--) {
    strides[dims.length - from.length + i] = from[i] === 1 ? 0 : stride;
    stride *= from[i]!;
  }
  return strides;
}

function commonDims(operands: readonly RefTensor[]): number[] {
  const rank = Math.max(...operands.map(({ dims }) => dims.length));
  return Array.from({ length: rank }, (_, i) => {
    const sizes = operands.map(({ dims }) => dims[dims.length - rank + i] ?? 1);
    return sizes.find((size) => size !== 1) ?? 1;
  });
}

/** Applies `f` element by element, stretching dimensions of 1. */
export function mapElements(operands: readonly RefTensor[], f: (...xs: number[]) => number): RefTensor {
  const first = operands[0]!;
  if (operands.length === 1) return { dims: first.dims, data: first.data.map((x) => f(x)) };
  const dims = commonDims(operands);
  const strides = operands.map((operand) => broadcastStrides(operand.dims, dims));
  const data = new Float64Array(elementCount(dims));
  const index = new Array<number>(dims.length).fill(0);
  const at = operands.map(() => 0);
  const args = new Array<number>(operands.length);
  for (let i = 0; i < data.length; i++) {
    for (let o = 0; o < args.length; o++) args[o] = operands[o]!.data[at[o]!]!;
    data[i] = f(...args);
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      for (let o = 0; o < args.length; o++) at[o]! += strides[o]![axis]!;
      if (index[axis]! < dims[axis]!) break;
      for (let o = 0; o < args.length; o++) at[o]! -= strides[o]![axis]! * dims[axis]!;
      index[axis] = 0;
    }
  }
  return { dims, data };
}

/** Reads `data` at `offset + Σ index·strides` for every index within `dims`, row-major. */
export function gatherStrided(
  data: Float64Array,
  dims: readonly number[],
  strides: readonly number[],
  offset = 0,
): RefTensor {
  const out = new Float64Array(elementCount(dims));
  const index = new Array<number>(dims.length).fill(0);
  let at = offset;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[at]!;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      at += strides[axis]!;
      if (++index[axis]! < dims[axis]!) break;
      at -= strides[axis]! * dims[axis]!;
      index[axis] = 0;
    }
  }
  return { dims, data: out };
}
