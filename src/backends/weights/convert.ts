import { allocate, type DType, isFloat, type TypedArray } from "../../ir/dtype.ts";
import { numberToBfloat16, numberToFloat16 } from "../../ir/float16.ts";
import { castTensor, type HostTensor, hostTensor, toFloat64 } from "../../ir/tensor.ts";

/** A converted tensor, and how many finite values the new type has no number for: these are wrong in it. */
export interface Conversion {
  readonly tensor: HostTensor;
  readonly beyond: number;
}

const integerRanges: Partial<Record<DType, readonly [low: bigint, high: bigint]>> = {
  i64: [-(2n ** 63n), 2n ** 63n - 1n],
  i32: [-(2n ** 31n), 2n ** 31n - 1n],
  i8: [-128n, 127n],
  u8: [0n, 255n],
};

/** Whether weights of one type may stand for another: floats for floats, integers for integers, bool for bytes. */
export function isConvertible(from: DType, to: DType): boolean {
  if (from === to || (isFloat(from) && isFloat(to))) return true;
  if (from === "bool" || to === "bool") return from === "u8" || to === "u8";
  return !isFloat(from) && !isFloat(to);
}

/**
 * Converts between types for which `isConvertible` holds. Floats round to nearest even; finite values beyond the new
 * type's range are counted; infinities and NaN stay what they are.
 */
export function convertTensor(tensor: HostTensor, dtype: DType): Conversion {
  if (tensor.dtype === dtype) return { tensor, beyond: 0 };
  if (dtype === "bool" || tensor.dtype === "bool") return { tensor: castTensor(tensor, dtype), beyond: 0 };
  if (!isFloat(dtype)) return convertIntegers(tensor, dtype);
  if (dtype === "f64" || (dtype === "f32" && tensor.dtype !== "f64"))
    return { tensor: castTensor(tensor, dtype), beyond: 0 };
  return narrowFloats(tensor, dtype);
}

function narrowFloats(tensor: HostTensor, dtype: DType): Conversion {
  const values = tensor.data instanceof Float32Array ? tensor.data : toFloat64(tensor);
  const data = allocate(dtype, values.length);
  const encode = dtype === "f16" ? numberToFloat16 : dtype === "bf16" ? numberToBfloat16 : Math.fround;
  const infinities = [encode(Number.POSITIVE_INFINITY), encode(Number.NEGATIVE_INFINITY)];
  let beyond = 0;
  for (let i = 0; i < values.length; i++) {
    const encoded = encode(values[i]!);
    data[i] = encoded;
    if (infinities.includes(encoded) && Number.isFinite(values[i])) beyond++;
  }
  return { tensor: hostTensor(dtype, tensor.dims, data), beyond };
}

function convertIntegers(tensor: HostTensor, dtype: DType): Conversion {
  const [low, high] = integerRanges[dtype]!;
  const data = allocate(dtype, tensor.data.length);
  let beyond = 0;
  for (let i = 0; i < data.length; i++) {
    const value = BigInt(tensor.data[i]!);
    if (value < low || value > high) beyond++;
    data[i] = data instanceof BigInt64Array ? value : Number(value);
  }
  return { tensor: hostTensor(dtype, tensor.dims, data), beyond };
}

/** What is odd about a tensor's values. Subnormals are counted in f32 and f64 only, where they slow processors down. */
export interface ValueCensus {
  readonly nan: number;
  readonly infinite: number;
  readonly subnormal: number;
  /** All elements are zero, and there is at least one. */
  readonly allZero: boolean;
}

interface FloatLayout {
  readonly exponent: number;
  readonly fraction: number;
  readonly words: (data: TypedArray) => Uint16Array | Uint32Array;
}

const sixteen = (data: TypedArray) => data as Uint16Array;
const layouts: Partial<Record<DType, FloatLayout>> = {
  f32: {
    exponent: 0x7f800000,
    fraction: 0x7fffff,
    words: (data) => new Uint32Array(data.buffer, data.byteOffset, data.length),
  },
  f16: { exponent: 0x7c00, fraction: 0x3ff, words: sixteen },
  bf16: { exponent: 0x7f80, fraction: 0x7f, words: sixteen },
};

/** Counts NaNs, infinities, subnormals and zeros of a float tensor; integers have nothing to count. */
export function takeCensus(tensor: HostTensor): ValueCensus {
  const layout = layouts[tensor.dtype];
  if (layout !== undefined) return bitCensus(layout.words(tensor.data), layout, tensor.dtype === "f32");
  if (tensor.dtype === "f64") return wideCensus(tensor.data as Float64Array);
  return { nan: 0, infinite: 0, subnormal: 0, allZero: false };
}

function bitCensus(words: Uint16Array | Uint32Array, layout: FloatLayout, countSubnormal: boolean): ValueCensus {
  const { exponent, fraction } = layout;
  let [nan, infinite, subnormal, zeros] = [0, 0, 0, 0];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const field = word & exponent;
    if (field === exponent) (word & fraction) === 0 ? infinite++ : nan++;
    else if (field === 0) (word & fraction) === 0 ? zeros++ : subnormal++;
  }
  return {
    nan,
    infinite,
    subnormal: countSubnormal ? subnormal : 0,
    allZero: words.length > 0 && zeros === words.length,
  };
}

function wideCensus(values: Float64Array): ValueCensus {
  let [nan, infinite, subnormal, zeros] = [0, 0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (Number.isNaN(value)) nan++;
    else if (!Number.isFinite(value)) infinite++;
    else if (value === 0) zeros++;
    else if (Math.abs(value) < 2 ** -1022) subnormal++;
  }
  return { nan, infinite, subnormal, allZero: values.length > 0 && zeros === values.length };
}
