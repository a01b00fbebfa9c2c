import { fail } from "./diagnostics.ts";
import { allocate, type DType, isFloat } from "./dtype.ts";
import { elementCount, fromNumbers, type HostTensor, hostTensor, tensorBytes, toFloat64 } from "./tensor.ts";

/** Text of a float that reads back as the same float64: also `-0`, `nan`, `inf`. */
export function showFloat(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  return Object.is(value, -0) ? "-0" : String(value);
}

/** The number a text such as `-1.5e-3`, `nan` or `-inf` stands for; undefined where it stands for none. */
export function readFloat(text: string): number | undefined {
  if (text === "nan") return Number.NaN;
  if (text === "inf") return Number.POSITIVE_INFINITY;
  if (text === "-inf") return Number.NEGATIVE_INFINITY;
  return /^-?\d+(\.\d+)?(e[-+]?\d+)?$/i.test(text) ? Number(text) : undefined;
}

/**
 * The elements as texts that read back, in the tensor's own element type, bit for bit; floats as short as that
 * allows. Undefined where some element has no such text, as a NaN with a payload has none.
 */
export function elementTexts(tensor: HostTensor): readonly string[] | undefined {
  const { dtype, dims } = tensor;
  const texts = isFloat(dtype) ? floatTexts(tensor) : Array.from(tensor.data, String);
  const shown = dtype === "bool" ? texts.map((text) => (text === "0" ? "false" : "true")) : texts;
  return sameBytes(readElements(dtype, dims, shown), tensor) ? shown : undefined;
}

function floatTexts(tensor: HostTensor): readonly string[] {
  const { dtype } = tensor;
  return Array.from(toFloat64(tensor), (value) => {
    if (!Number.isFinite(value) || value === 0 || dtype === "f64") return showFloat(value);
    for (let digits = 1; digits < 17; digits++) {
      const short = Number(value.toPrecision(digits));
      if (toFloat64(fromNumbers(dtype, [], [short]))[0] === value) return showFloat(short);
    }
    return showFloat(value);
  });
}

/** The tensor that element texts stand for. Throws QKV220 on a text that is no element of `dtype`. */
export function readElements(dtype: DType, dims: readonly number[], texts: readonly string[]): HostTensor {
  if (texts.length !== elementCount(dims))
    fail("QKV220", `${dtype}[${dims.join(", ")}] has ${elementCount(dims)} elements, ${texts.length} are written`);
  const bad = (text: string): never => fail("QKV220", `${text} is no ${dtype}`);
  if (dtype === "bool")
    return fromNumbers(
      dtype,
      dims,
      texts.map((text) => (text === "true" ? 1 : text === "false" ? 0 : bad(text))),
    );
  if (isFloat(dtype))
    return fromNumbers(
      dtype,
      dims,
      texts.map((text) => readFloat(text) ?? bad(text)),
    );
  const data = allocate(dtype, texts.length);
  texts.forEach((text, i) => {
    if (!/^-?\d+$/.test(text)) bad(text);
    data[i] = dtype === "i64" ? BigInt(text) : Number(text);
    if (String(data[i]) !== text) bad(text);
  });
  return hostTensor(dtype, dims, data);
}

/** Same element type, dims and bits. */
export function sameBytes(a: HostTensor, b: HostTensor): boolean {
  const shaped = a.dtype === b.dtype && a.dims.length === b.dims.length && a.dims.every((dim, i) => dim === b.dims[i]);
  if (!shaped) return false;
  const [x, y] = [tensorBytes(a), tensorBytes(b)];
  return x.length === y.length && x.every((byte, i) => byte === y[i]);
}
