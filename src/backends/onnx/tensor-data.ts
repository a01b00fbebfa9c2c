import { fail } from "../../ir/diagnostics.ts";
import type { DType } from "../../ir/dtype.ts";
import type { TensorProto } from "./proto/generated/onnx_pb.ts";
import type { OnnxDType } from "./schema.ts";

type DataField = "floatData" | "int32Data" | "int64Data" | "doubleData" | "uint64Data";

/** How ONNX stores an element type: bits per element, and the list field used where the bytes are not given raw. */
interface ElementType {
  readonly name: string;
  readonly bits: number;
  readonly field: DataField;
  readonly dtype?: DType;
}

const stringCode = 8;
const element = (name: string, bits: number, field: DataField, dtype?: DType): ElementType =>
  dtype === undefined ? { name, bits, field } : { name, bits, field, dtype };

/** ONNX element types by their code. Strings (8) have no fixed width and are handled apart. */
export const elementTypes: ReadonlyMap<number, ElementType> = new Map([
  [1, element("FLOAT", 32, "floatData", "f32")],
  [2, element("UINT8", 8, "int32Data", "u8")],
  [3, element("INT8", 8, "int32Data", "i8")],
  [4, element("UINT16", 16, "int32Data")],
  [5, element("INT16", 16, "int32Data")],
  [6, element("INT32", 32, "int32Data", "i32")],
  [7, element("INT64", 64, "int64Data", "i64")],
  [9, element("BOOL", 8, "int32Data", "bool")],
  [10, element("FLOAT16", 16, "int32Data", "f16")],
  [11, element("DOUBLE", 64, "doubleData", "f64")],
  [12, element("UINT32", 32, "uint64Data")],
  [13, element("UINT64", 64, "uint64Data")],
  [14, element("COMPLEX64", 64, "floatData")],
  [15, element("COMPLEX128", 128, "doubleData")],
  [16, element("BFLOAT16", 16, "int32Data", "bf16")],
  [17, element("FLOAT8E4M3FN", 8, "int32Data")],
  [18, element("FLOAT8E4M3FNUZ", 8, "int32Data")],
  [19, element("FLOAT8E5M2", 8, "int32Data")],
  [20, element("FLOAT8E5M2FNUZ", 8, "int32Data")],
  [21, element("UINT4", 4, "int32Data")],
  [22, element("INT4", 4, "int32Data")],
  [23, element("FLOAT4E2M1", 4, "int32Data")],
  [24, element("FLOAT8E8M0", 8, "int32Data")],
  [25, element("UINT2", 2, "int32Data")],
  [26, element("INT2", 2, "int32Data")],
]);

const codes = new Map([...elementTypes].flatMap(([code, { dtype }]) => (dtype ? [[dtype, code] as const] : [])));

/** The ONNX code of an element type. */
export const onnxCode = (dtype: OnnxDType): number => (typeof dtype === "number" ? dtype : codes.get(dtype)!);

/** Our element type for an ONNX code, or the code itself where we have none. Throws QKV405 for unknown codes. */
export function dtypeOf(code: number, where: string): OnnxDType {
  if (code === stringCode) return code;
  const type = elementTypes.get(code);
  if (type === undefined) fail("QKV405", `${where} has element type ${code}, which ONNX does not define`);
  return type.dtype ?? code;
}

/** Name of an element type for messages: ours, ONNX's, or the bare code. */
export const dtypeName = (dtype: OnnxDType): string =>
  typeof dtype === "string" ? dtype : (elementTypes.get(dtype)?.name ?? (dtype === stringCode ? "STRING" : `${dtype}`));

export const isStringType = (dtype: OnnxDType): boolean => dtype === stringCode;

/** Checks extents and counts elements. Throws QKV406 for negative or fractional extents and counts beyond 2^53. */
export function countElements(dims: readonly number[], where: string): number {
  const bad = dims.find((dim) => !Number.isSafeInteger(dim) || dim < 0);
  if (bad !== undefined) fail("QKV406", `${where} has an extent of ${bad}`);
  if (dims.includes(0)) return 0;
  const count = dims.reduce((product, dim) => product * dim, 1);
  if (!Number.isSafeInteger(count)) fail("QKV406", `${where} has dims [${dims.join(", ")}], too many elements`);
  return count;
}

/** Bytes the elements take, packed. Throws QKV405 for element types without a width, QKV406 for bad dims. */
export function storageBytes(dtype: OnnxDType, dims: readonly number[], where: string): number {
  const type = elementTypes.get(onnxCode(dtype));
  if (type === undefined) fail("QKV405", `${where} has element type ${dtypeName(dtype)}, which has no fixed width`);
  const count = countElements(dims, where);
  const bytes = type.bits < 8 ? Math.ceil((count * type.bits) / 8) : count * (type.bits / 8);
  if (!Number.isSafeInteger(bytes)) fail("QKV406", `${where} has dims [${dims.join(", ")}], too many bytes`);
  return bytes;
}

/**
 * The elements given in a tensor's list field, as raw little-endian bytes.
 * Throws QKV404 where a list of another element type is filled, or the number of entries is wrong.
 */
export function listedBytes(proto: TensorProto, dtype: OnnxDType, byteLength: number, where: string): Uint8Array {
  const { field, bits, name } = elementTypes.get(onnxCode(dtype))!;
  for (const other of ["floatData", "int32Data", "int64Data", "doubleData", "uint64Data"] as const)
    if (other !== field && proto[other].length > 0) fail("QKV404", `${where} is ${name} but fills ${other}`);
  // Complex numbers take two entries each; elements narrower than a byte come packed, a byte per entry.
  const width = field === "floatData" ? 4 : field === "doubleData" ? 8 : Math.max(bits / 8, 1);
  const values = proto[field];
  if (values.length * width !== byteLength)
    fail("QKV404", `${where} needs ${byteLength / width} entries in ${field}, not ${values.length}`);
  const bytes = new Uint8Array(byteLength);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) writeElement(view, i * width, width, field, values[i]!);
  return bytes;
}

/** Integers wrap to the element's width. */
function writeElement(view: DataView, at: number, width: number, field: DataField, value: number | bigint): void {
  if (field === "floatData") view.setFloat32(at, value as number, true);
  else if (field === "doubleData") view.setFloat64(at, value as number, true);
  else if (width === 8) view.setBigInt64(at, BigInt.asIntN(64, value as bigint), true);
  else if (width === 4) view.setInt32(at, Number(BigInt.asIntN(32, BigInt(value))), true);
  else if (width === 2) view.setInt16(at, value as number, true);
  else view.setInt8(at, value as number);
}
