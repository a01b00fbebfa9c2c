/** An attribute of an ONNX operator: whole numbers are ints and all others floats, unless it says so. */
export type OnnxAttribute =
  | number
  | string
  | readonly number[]
  | readonly string[]
  | { readonly float: number }
  | { readonly floats: readonly number[] };

/** One ONNX operator on tensors that have no names. */
export interface OnnxCall {
  readonly operator: string;
  /** Empty for the standard operators. */
  readonly domain: string;
  /** Version of the domain. */
  readonly opset: number;
  /** By which of the operands each input is; nothing for one left out. */
  readonly inputs: readonly (number | undefined)[];
  readonly results: number;
  readonly attributes: ReadonlyMap<string, OnnxAttribute>;
}

/** What the attribute `code` of `opaque` says of one operator: a graph in protobuf's JSON form, names by order. */
export function opaqueCode({ operator, domain, opset, inputs, results, attributes }: OnnxCall): string {
  const operands = Math.max(0, ...inputs.map((at) => (at === undefined ? 0 : at + 1)));
  const nameOf = (at: number) => `x${at + 1}`;
  const outputs = Array.from({ length: results }, (_, i) => `y${operands + 1 + i}`);
  const attribute = [...attributes].map(([name, value]) => ({ name, ...attributeFields(value) }));
  const node = {
    input: inputs.map((at) => (at === undefined ? "" : nameOf(at))),
    output: outputs,
    opType: operator,
    ...(attribute.length > 0 && { attribute }),
    ...(domain !== "" && { domain }),
  };
  return JSON.stringify({
    node: [node],
    name: operator,
    input: Array.from({ length: operands }, (_, at) => ({ name: nameOf(at) })),
    output: outputs.map((name) => ({ name })),
    metadataProps: [{ ...(domain !== "" && { key: domain }), value: String(opset) }],
  });
}

/** The kinds are numbers: those of the attribute types of ONNX. */
function attributeFields(value: OnnxAttribute): object {
  if (typeof value === "string") return { type: 3, s: base64(value) };
  if (typeof value === "number")
    return Number.isInteger(value) ? { type: 2, i: String(value) } : attributeFields({ float: value });
  if ("float" in value) return { type: 1, f: float(value.float) };
  if ("floats" in value) return { type: 6, floats: value.floats.map(float) };
  if (value.some((one) => typeof one === "string"))
    return { type: 8, strings: value.map((one) => base64(String(one))) };
  const numbers = value as readonly number[];
  return numbers.every(Number.isInteger)
    ? { type: 7, ints: numbers.map(String) }
    : attributeFields({ floats: numbers });
}

/** JSON has no text for what is not finite. */
const float = (value: number): number | string => (Number.isFinite(value) ? value : String(value));
const base64 = (words: string): string => Buffer.from(words).toString("base64");
