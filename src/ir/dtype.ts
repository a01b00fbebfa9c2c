import { fail } from "./diagnostics.ts";

/** Element types of the IR, in the order the documentation lists them. */
export const dtypes = ["f64", "f32", "f16", "bf16", "i64", "i32", "i8", "u8", "bool"] as const;

export type DType = (typeof dtypes)[number];

const byteSizes: Record<DType, number> = { f64: 8, f32: 4, f16: 2, bf16: 2, i64: 8, i32: 4, i8: 1, u8: 1, bool: 1 };

/** Bytes one element takes in memory. */
export const byteSize = (dtype: DType): number => byteSizes[dtype];

export const isDType = (text: string): text is DType => (dtypes as readonly string[]).includes(text);
export const isFloat = (dtype: DType): boolean =>
  dtype === "f64" || dtype === "f32" || dtype === "f16" || dtype === "bf16";
export const isInteger = (dtype: DType): boolean => !isFloat(dtype) && dtype !== "bool";

/** Whether a type counts places without wrapping, whatever fits in memory. */
export const countsPlaces = (dtype: DType): boolean => dtype === "i64" || dtype === "i32";

const integerEnds: Partial<Record<DType, readonly [least: number, most: number]>> = {
  i64: [-(2 ** 63), 2 ** 63],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  i8: [-128, 127],
  u8: [0, 255],
  bool: [0, 1],
};

/** The least and the greatest number of an integer type, and of bool; undefined for floats. Of i64 as float64 rounds it. */
export const endsOf = (dtype: DType): readonly [least: number, most: number] | undefined => integerEnds[dtype];

/** Storage of host tensors. f16 and bf16 hold their bit patterns; bool holds 0 or 1. */
export type TypedArray =
  | Float64Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>;

const storages = {
  f64: Float64Array,
  f32: Float32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i64: BigInt64Array,
  i32: Int32Array,
  i8: Int8Array,
  u8: Uint8Array,
  bool: Uint8Array,
} as const;

/** A zeroed array of `length` elements of `dtype`. */
export const allocate = (dtype: DType, length: number): TypedArray => new storages[dtype](length);

/** Views `bytes` (little-endian, any alignment) as elements of `dtype`; copies only when misaligned. */
export function viewBytes(dtype: DType, bytes: Uint8Array): TypedArray {
  const width = byteSize(dtype);
  if (bytes.byteLength % width !== 0)
    fail("QKV201", `${bytes.byteLength} bytes are no whole number of ${dtype} values`);
  const aligned =
    bytes.byteOffset % width === 0 && bytes.buffer instanceof ArrayBuffer ? bytes : Uint8Array.from(bytes);
  return new storages[dtype](aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / width);
}
