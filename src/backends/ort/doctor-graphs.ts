// One-op models for doctor.ts, and what they should give.

import type { DType } from "../../ir/dtype.ts";
import { fromNumbers, type HostTensor } from "../../ir/tensor.ts";
import { encodeModel } from "../onnx/encode.ts";
import type { OnnxAttribute } from "../onnx/schema.ts";

/** One op under test. Operands in order; undefined where an optional one is left out. */
export interface OneOp {
  readonly op: string;
  readonly domain: "" | "com.microsoft";
  readonly attributes: Readonly<Record<string, number>>;
  readonly operands: readonly (HostTensor | undefined)[];
  /** Element types of the outputs, which are named `y0`, `y1`, … */
  readonly results: readonly DType[];
}

/** The model of one op with an input `x0`, `x1`, … per operand given. */
export function oneOpModel({ op, domain, attributes, operands, results }: OneOp, opset: number): Uint8Array {
  const outputs = results.map((_, i) => `y${i}`);
  return encodeModel({
    irVersion: 10,
    opsetImports: [
      { domain: "", version: opset },
      { domain: "com.microsoft", version: 1 },
    ],
    producerName: "qkv",
    producerVersion: "",
    metadata: new Map(),
    graph: {
      name: "probe",
      nodes: [
        {
          opType: op,
          domain,
          name: "probe",
          inputs: operands.map((operand, i) => (operand ? `x${i}` : "")),
          outputs,
          attributes: new Map(Object.entries(attributes).map(([name, value]) => [name, attribute(name, value)])),
        },
      ],
      inputs: operands.flatMap((operand, i) =>
        operand ? [{ name: `x${i}`, dtype: operand.dtype, shape: operand.dims }] : [],
      ),
      outputs: results.map((dtype, i) => ({ name: `y${i}`, dtype, shape: undefined })),
      valueInfo: [],
      initializers: [],
    },
  }).model;
}

const floatAttributes = new Set(["scale", "softcap"]);
const attribute = (name: string, value: number): OnnxAttribute =>
  floatAttributes.has(name) ? { kind: "float", value } : { kind: "int", value };

export const oneOpFeeds = ({ operands }: OneOp): Map<string, HostTensor> =>
  new Map(operands.flatMap((operand, i) => (operand ? [[`x${i}`, operand] as const] : [])));

/** Head size of the weight probes, and so the most keys one can tell apart. Kernels want multiples of 8. */
const width = 8;

const zeros = (rows: number): HostTensor => fromNumbers("f32", [1, rows, width], new Float64Array(rows * width));

/** Row i is the unit vector i, counted from `first`: as values, the output of attention is its own weights. */
const unitRows = (rows: number, first = 0): HostTensor => {
  const data = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++) data[row * width + first + row] = 1;
  return fromNumbers("f32", [1, rows, width], data);
};

const perHead = (tensor: HostTensor): HostTensor => ({ ...tensor, dims: [1, 1, ...tensor.dims.slice(1)] });

/** One head, all scores zero, values the unit vectors: output [.., queries, 8] is the weight each query gives each key. */
export const weightOperands = (queries: number, keys: number) => ({
  q: zeros(queries),
  k: zeros(keys),
  v: unitRows(keys),
});

export interface StandardWeights {
  readonly queries: number;
  readonly keys: number;
  readonly attributes?: Readonly<Record<string, number>>;
  readonly mask?: readonly boolean[];
  /** Keys that come in as past. */
  readonly past?: number;
}

/** ai.onnx Attention whose output is its weights. */
export function standardWeights({ queries, keys, attributes = {}, mask, past = 0 }: StandardWeights): OneOp {
  const maskTensor = mask && fromNumbers("bool", [queries, past + keys], mask.map(Number));
  const { q, k } = weightOperands(queries, keys);
  const v = unitRows(keys, past);
  const pasts = past > 0 ? [zeros(past), unitRows(past)] : [];
  return {
    op: "Attention",
    domain: "",
    attributes,
    operands: [perHead(q), perHead(k), perHead(v), maskTensor, ...pasts.map(perHead)],
    results: past > 0 ? ["f32", "f32", "f32"] : ["f32"],
  };
}

/** com.microsoft GroupQueryAttention over `length` new tokens whose output is its weights. */
export function groupedWeights(length: number, attributes: Readonly<Record<string, number>>): OneOp {
  const { q, k, v } = weightOperands(length, length);
  return grouped({ q, k, v, length, heads: 1, groups: 1, attributes });
}

interface Grouped {
  readonly q: HostTensor;
  readonly k: HostTensor;
  readonly v: HostTensor;
  readonly length: number;
  readonly heads: number;
  readonly groups: number;
  readonly attributes?: Readonly<Record<string, number>>;
}

/** Without past; `seqlens_k` is the length less one. The op must be asked for its present outputs too. */
export const grouped = ({ q, k, v, length, heads, groups, attributes = {} }: Grouped): OneOp => ({
  op: "GroupQueryAttention",
  domain: "com.microsoft",
  attributes: { num_heads: heads, kv_num_heads: groups, ...attributes },
  operands: [q, k, v, undefined, undefined, fromNumbers("i32", [1], [length - 1]), fromNumbers("i32", [1], [length])],
  results: ["f32", "f32", "f32"],
});

export interface ReferenceShape {
  readonly length: number;
  readonly heads: number;
  readonly groups: number;
  readonly size: number;
  readonly causal: boolean;
}

/**
 * softmax(QKᵀ/√size)·V in float64, straight from the definition. q: [1, length, heads·size], k and v:
 * [1, length, groups·size]; query head h reads key head floor(h·groups/heads). Returns [1, length, heads·size], flat.
 */
export function referenceAttention(q: HostTensor, k: HostTensor, v: HostTensor, shape: ReferenceShape): Float64Array {
  const { length, heads, groups, size, causal } = shape;
  const out = new Float64Array(length * heads * size);
  const at = (tensor: HostTensor, row: number, head: number, of: number, i: number): number =>
    tensor.data[(row * of + head) * size + i] as number;
  for (let h = 0; h < heads; h++) {
    const g = Math.floor((h * groups) / heads);
    for (let row = 0; row < length; row++) {
      const seen = causal ? row + 1 : length;
      const scores = Float64Array.from({ length: seen }, (_, key) => {
        let dot = 0;
        for (let i = 0; i < size; i++) dot += at(q, row, h, heads, i) * at(k, key, g, groups, i);
        return dot / Math.sqrt(size);
      });
      const largest = scores.reduce((a, b) => Math.max(a, b));
      const weights = scores.map((score) => Math.exp(score - largest));
      const total = weights.reduce((a, b) => a + b);
      for (let key = 0; key < seen; key++)
        for (let i = 0; i < size; i++)
          out[(row * heads + h) * size + i]! += (weights[key]! / total) * at(v, key, g, groups, i);
    }
  }
  return out;
}
