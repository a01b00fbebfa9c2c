import { invariant } from "../diagnostics.ts";
import type { RefTensor } from "../op-def.ts";
import { elementCount } from "../tensor.ts";
import { collapse, forEachRow, rowLength, rowSteps, type Walk } from "./strided.ts";

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
  const dims = commonDims(operands);
  const data = new Float64Array(elementCount(dims));
  const walk = collapse({ dims, strides: operands.map((operand) => broadcastStrides(operand.dims, dims)) });
  const fill = operands.length === 1 ? fillOne : operands.length === 2 ? fillTwo : fillThree;
  invariant(operands.length >= 1 && operands.length <= 3, "elementwise ops have one to three operands");
  fill(
    data,
    operands.map((operand) => operand.data),
    walk,
    f,
  );
  return { dims, data };
}

type Fill = (out: Float64Array, sources: readonly Float64Array[], walk: Walk, f: (...xs: number[]) => number) => void;

const fillOne: Fill = (out, [x], _walk, f) => {
  for (let i = 0; i < out.length; i++) out[i] = f(x![i]!);
};

const fillTwo: Fill = (out, [x, y], walk, f) => {
  const length = rowLength(walk);
  const [dx, dy] = rowSteps(walk);
  let i = 0;
  forEachRow(walk, ([p, q]) => {
    for (let j = 0, a = p!, b = q!; j < length; j++, a += dx!, b += dy!) out[i++] = f(x![a]!, y![b]!);
  });
};

const fillThree: Fill = (out, [x, y, z], walk, f) => {
  const length = rowLength(walk);
  const [dx, dy, dz] = rowSteps(walk);
  let i = 0;
  forEachRow(walk, ([p, q, r]) => {
    for (let j = 0, a = p!, b = q!, c = r!; j < length; j++, a += dx!, b += dy!, c += dz!)
      out[i++] = f(x![a]!, y![b]!, z![c]!);
  });
};

/** Reads `data` at `offset + Σ index·strides` for every index within `dims`, row-major. */
export function gatherStrided(
  data: Float64Array,
  dims: readonly number[],
  strides: readonly number[],
  offset = 0,
): RefTensor {
  const count = elementCount(dims);
  const walk = collapse({ dims, strides: [strides] });
  const length = rowLength(walk);
  const step = rowSteps(walk)[0]!;
  // One run of neighbours: no need to copy, since nothing writes into an operand.
  if (walk.dims.length <= 1 && (step === 1 || count <= 1)) return { dims, data: data.subarray(offset, offset + count) };
  const out = new Float64Array(count);
  let i = 0;
  forEachRow(walk, ([start]) => {
    for (let j = 0, at = offset + start!; j < length; j++, at += step) out[i++] = data[at]!;
  });
  return { dims, data: out };
}
