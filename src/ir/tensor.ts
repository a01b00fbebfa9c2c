import { fail } from "./diagnostics.ts";
import { allocate, byteSize, type DType, type TypedArray } from "./dtype.ts";
import { numberToBfloat16, numberToFloat16, widenBfloat16, widenFloat16 } from "./float16.ts";

/** A tensor in host memory, row-major. `data` has one element per position, typed by `dtype` (see `TypedArray`). */
export interface HostTensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: TypedArray;
}

/** Number of elements of a tensor with these dims; 1 for a scalar. */
export const elementCount = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

/** Wraps `data` as a tensor. Throws QKV202 where the number of elements does not match `dims`. */
export function hostTensor(dtype: DType, dims: readonly number[], data: TypedArray): HostTensor {
  if (data.length !== elementCount(dims))
    fail("QKV202", `a ${dtype}[${dims.join(", ")}] has ${elementCount(dims)} elements, not ${data.length}`);
  return { dtype, dims, data };
}

/** The elements' bytes as they lie in memory: a view, not a copy. */
export const tensorBytes = (tensor: HostTensor): Uint8Array =>
  new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.length * byteSize(tensor.dtype));

/** The elements as float64; exact for every dtype but i64 beyond 2^53. */
export function toFloat64(tensor: HostTensor): Float64Array<ArrayBuffer> {
  const { data, dtype } = tensor;
  const out = new Float64Array(data.length);
  if (dtype === "f16") out.set(widenFloat16(data as Uint16Array));
  else if (dtype === "bf16") out.set(widenBfloat16(data as Uint16Array));
  else if (dtype === "i64") for (let i = 0; i < out.length; i++) out[i] = Number(data[i]);
  else out.set(data as Float64Array);
  return out;
}

/** How a number is stored where assigning it to an element would not do. */
const conversions: ReadonlyMap<DType, (value: number) => number | bigint> = new Map<
  DType,
  (value: number) => number | bigint
>([
  ["f16", numberToFloat16],
  ["bf16", numberToBfloat16],
  ["i64", (value) => (Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n)],
  ["bool", (value) => (value !== 0 ? 1 : 0)],
]);

/**
 * A tensor of `dtype` from numbers: floats round to nearest even, integers truncate and wrap (NaN and infinities are 0),
 * bool is `!== 0`.
 */
export function fromNumbers(dtype: DType, dims: readonly number[], values: ArrayLike<number>): HostTensor {
  const data = allocate(dtype, values.length);
  const convert = conversions.get(dtype);
  if (convert) for (let i = 0; i < values.length; i++) data[i] = convert(values[i]!);
  else (data as Float64Array).set(values);
  return hostTensor(dtype, dims, data);
}

/** The same values in another element type; the tensor itself where the type is already right. */
export function castTensor(tensor: HostTensor, dtype: DType): HostTensor {
  if (tensor.dtype === dtype) return tensor;
  const { dims, data } = tensor;
  if (dtype === "f32" && tensor.dtype === "f16") return hostTensor(dtype, dims, widenFloat16(data as Uint16Array));
  if (dtype === "f32" && tensor.dtype === "bf16") return hostTensor(dtype, dims, widenBfloat16(data as Uint16Array));
  const wide = data instanceof BigInt64Array || tensor.dtype === "f16" || tensor.dtype === "bf16";
  return fromNumbers(dtype, dims, wide ? toFloat64(tensor) : (data as Float64Array));
}

/** The first elements along each axis; `dims` are at most the tensor's own. The tensor itself where they are the same. */
export function cutTensor(tensor: HostTensor, dims: readonly number[]): HostTensor {
  if (dims.every((dim, axis) => dim === tensor.dims[axis])) return tensor;
  const strides = tensor.dims.map((_, axis) => elementCount(tensor.dims.slice(axis + 1)));
  const data = allocate(tensor.dtype, elementCount(dims));
  for (let i = 0; i < data.length; i++) {
    let [rest, at] = [i, 0];
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      at += (rest % dims[axis]!) * strides[axis]!;
      rest = Math.floor(rest / dims[axis]!);
    }
    data[i] = tensor.data[at]!;
  }
  return { dtype: tensor.dtype, dims, data };
}
