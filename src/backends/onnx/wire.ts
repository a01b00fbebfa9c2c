import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { fail } from "../../ir/diagnostics.ts";

/** What a file may hold before it is refused. */
export interface WireLimits {
  /** Messages within messages. */
  readonly depth: number;
  /** Fields in all messages together. */
  readonly fields: number;
  /** Entries of packed lists of numbers. */
  readonly listElements: number;
  /** Fields this version of the format does not know. */
  readonly unknownFields: number;
}

const wireTypes = { varint: 0, bit64: 1, bytes: 2, bit32: 5 } as const;
const recordFields = new WeakMap<DescMessage, Map<number, DescField>>();

function fieldsOf(message: DescMessage): Map<number, DescField> {
  const known = recordFields.get(message);
  if (known !== undefined) return known;
  const fields = new Map(message.fields.map((field) => [field.number, field]));
  recordFields.set(message, fields);
  return fields;
}

function scalarWireType(scalar: ScalarType): number {
  if (scalar === ScalarType.STRING || scalar === ScalarType.BYTES) return wireTypes.bytes;
  if (scalar === ScalarType.FLOAT) return wireTypes.bit32;
  if (scalar === ScalarType.DOUBLE) return wireTypes.bit64;
  return wireTypes.varint;
}

class Cursor {
  at = 0;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** A varint below 2^53; longer ones are only skipped over, see `skipVarint`. */
  varint(end: number): number {
    let value = 0;
    for (let scale = 1; this.at < end; scale *= 128) {
      const byte = this.bytes[this.at++]!;
      value += (byte & 127) * scale;
      if (value > Number.MAX_SAFE_INTEGER || scale > 2 ** 56) break;
      if (byte < 128) return value;
    }
    return fail("QKV401", `byte ${this.at}: a length or tag that is cut off or too large`);
  }

  skipVarint(end: number): void {
    const limit = Math.min(end, this.at + 10);
    while (this.at < limit) if (this.bytes[this.at++]! < 128) return;
    fail("QKV401", `byte ${this.at}: an integer that is cut off or longer than 64 bits`);
  }

  skip(count: number, end: number): void {
    if (count > end - this.at) fail("QKV401", `byte ${this.at}: ${count} bytes announced, ${end - this.at} left`);
    this.at += count;
  }
}

/** Entries of a packed list that fills [from, to). */
function packedEntries(cursor: Cursor, wireType: number, to: number): number {
  const from = cursor.at;
  if (wireType !== wireTypes.varint) {
    const width = wireType === wireTypes.bit32 ? 4 : 8;
    if ((to - from) % width !== 0) fail("QKV401", `byte ${from}: a packed list that ends inside an entry`);
    cursor.at = to;
    return (to - from) / width;
  }
  let entries = 0;
  for (; cursor.at < to; entries++) cursor.skipVarint(to);
  return entries;
}

/**
 * Walks serialised bytes against their schema before anything is built from them, so that the parser behind this only
 * sees bytes it reads as every other protobuf parser does: lengths inside their message, no groups, known wire types,
 * bounded depth and counts. Throws QKV401 for malformed bytes, QKV408 for depth, QKV409 for counts.
 */
export function checkWire(root: DescMessage, bytes: Uint8Array, limits: WireLimits): { unknownFields: number } {
  const cursor = new Cursor(bytes);
  const stack: { readonly message: DescMessage; readonly end: number }[] = [{ message: root, end: bytes.length }];
  let fields = 0;
  let listElements = 0;
  let unknownFields = 0;
  while (stack.length > 0) {
    const { message, end } = stack.at(-1)!;
    if (cursor.at === end) {
      stack.pop();
      continue;
    }
    const start = cursor.at;
    const tag = cursor.varint(end);
    const wireType = tag % 8;
    const number = Math.floor(tag / 8);
    if (number === 0 || number >= 2 ** 29) fail("QKV401", `byte ${start}: field number ${number} in ${message.name}`);
    if (++fields > limits.fields) fail("QKV409", `more than ${limits.fields} fields`, limitHelp("fields"));
    const field = fieldsOf(message).get(number);
    if (field === undefined && ++unknownFields > limits.unknownFields)
      fail("QKV409", `more than ${limits.unknownFields} unknown fields`, limitHelp("unknownFields"));
    if (wireType !== wireTypes.bytes) {
      if (field !== undefined && (field.fieldKind === "message" || expectedWireType(field) !== wireType))
        fail("QKV401", `byte ${start}: ${message.name}.${field.name} has wire type ${wireType}`);
      skipScalar(cursor, wireType, start, end);
      continue;
    }
    const length = cursor.varint(end);
    const from = cursor.at;
    cursor.skip(length, end);
    if (field === undefined) continue;
    const child = field.fieldKind === "message" || field.fieldKind === "list" ? field.message : undefined;
    if (child !== undefined) {
      if (stack.length >= limits.depth)
        fail("QKV408", `messages nested more than ${limits.depth} deep`, limitHelp("depth"));
      cursor.at = from;
      stack.push({ message: child, end: from + length });
      continue;
    }
    const expected = expectedWireType(field);
    if (expected === wireTypes.bytes) continue;
    if (field.fieldKind !== "list") fail("QKV401", `byte ${start}: ${message.name}.${field.name} is no list`);
    cursor.at = from;
    listElements += packedEntries(cursor, expected, from + length);
    if (listElements > limits.listElements)
      fail("QKV409", `more than ${limits.listElements} numbers in lists`, limitHelp("listElements"));
  }
  return { unknownFields };
}

const limitHelp = (limit: keyof WireLimits) => ({
  help: `no exporter writes such a file; is it damaged? In code, \`readModel\` takes a higher limit \`${limit}\``,
});

/** The wire type of a field, or of each entry of a list. The schema has neither enums nor maps. */
function expectedWireType(field: DescField): number {
  return field.scalar === undefined ? wireTypes.bytes : scalarWireType(field.scalar);
}

function skipScalar(cursor: Cursor, wireType: number, start: number, end: number): void {
  if (wireType === wireTypes.varint) cursor.skipVarint(end);
  else if (wireType === wireTypes.bit64) cursor.skip(8, end);
  else if (wireType === wireTypes.bit32) cursor.skip(4, end);
  else fail("QKV401", `byte ${start}: wire type ${wireType}, which ONNX does not use`);
}
