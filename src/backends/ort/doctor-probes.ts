import { fromNumbers, type HostTensor } from "../../ir/tensor.ts";
import {
  grouped,
  groupedWeights,
  type OneOp,
  referenceAttention,
  standardWeights,
  weightOperands,
} from "./doctor-graphs.ts";
import { randomInputs } from "./inputs.ts";

export interface Finding {
  readonly answer: string;
  /** Whether that is what the ONNX specification, or the op's own documentation, says. */
  readonly ok: boolean;
}

/** A question, the one-op graph that asks it, and how to read the answer off its output. */
export interface Probe {
  readonly name: string;
  readonly question: string;
  readonly graph: OneOp;
  /** What the first output says. */
  readonly read: (output: Float64Array) => Finding;
}

const lengths = [1, 15, 16, 17, 31, 32, 33];

/** The keys that query `row` attends to, of `keys`. Weight rows are 8 wide. */
const attended = (weights: Float64Array, row: number, keys: number): string =>
  Array.from({ length: keys }, (_, key) => key)
    .filter((key) => weights[8 * row + key]! > 1e-6)
    .join(" ");

/** Names an answer by what the first query attends to. */
const named = (keys: number, right: string, names: ReadonlyMap<string, string>) => (weights: Float64Array) => {
  const seen = attended(weights, 0, keys);
  const answer = names.get(seen) ?? `the first query attends to keys ${seen || "none"}`;
  return { answer, ok: seen === right };
};

function maskedRow(weights: Float64Array): Finding {
  const row = Array.from(weights.subarray(0, 3));
  if (row.some(Number.isNaN)) return { answer: "NaN", ok: false };
  if (row.every((weight) => weight === 0)) return { answer: "zeros", ok: true };
  const even = row.every((weight) => Math.abs(weight - 1 / 3) < 1e-5);
  return { answer: even ? "the average of all values" : `weights ${row.join(" ")}`, ok: false };
}

function windowWidth(weights: Float64Array): Finding {
  const count = attended(weights, 5, 6).split(" ").length;
  return { answer: `${count} keys, itself among them`, ok: count === 2 };
}

/** What ops mean where their documentation has changed or implementations have differed. */
export function semanticProbes(): Probe[] {
  const { q, k, v } = weightOperands(1, 3);
  const paddingMask = fromNumbers("i32", [1, 3], [1, 1, 0]);
  return [
    {
      name: "attention-bool-mask",
      question: "Attention: does true in a bool mask mean attend?",
      graph: standardWeights({ queries: 1, keys: 3, mask: [true, false, false] }),
      read: named(
        3,
        "0",
        new Map([
          ["0", "true attends"],
          ["1 2", "true hides"],
        ]),
      ),
    },
    {
      name: "attention-causal-alignment",
      question: "Attention: is_causal with fewer queries than keys and no past: where does the diagonal start?",
      graph: standardWeights({ queries: 2, keys: 4, attributes: { is_causal: 1 } }),
      read: named(
        4,
        "0",
        new Map([
          ["0", "top left"],
          ["0 1 2", "bottom right"],
        ]),
      ),
    },
    {
      name: "attention-causal-past",
      question: "Attention: is_causal with past keys: does the first new query see the past and itself?",
      graph: standardWeights({ queries: 2, keys: 2, past: 2, attributes: { is_causal: 1 } }),
      read: named(
        4,
        "0 1 2",
        new Map([
          ["0 1 2", "yes"],
          ["0", "no, only the oldest key"],
        ]),
      ),
    },
    {
      name: "attention-masked-row",
      question: "Attention: what does a query get that may attend to nothing?",
      graph: standardWeights({ queries: 1, keys: 3, mask: [false, false, false] }),
      read: maskedRow,
    },
    {
      name: "attention-softcap-order",
      question: "Attention: is the soft cap applied before the mask, so that hidden keys stay hidden?",
      graph: standardWeights({ queries: 1, keys: 3, mask: [true, true, false], attributes: { softcap: 1 } }),
      read: named(
        3,
        "0 1",
        new Map([
          ["0 1", "yes"],
          ["0 1 2", "no, hidden keys leak"],
        ]),
      ),
    },
    {
      name: "mha-padding-mask",
      question: "MultiHeadAttention: does 1 in key_padding_mask mean attend?",
      graph: multiHead(q, k, v, 1, {}, paddingMask),
      read: named(
        3,
        "0 1",
        new Map([
          ["0 1", "1 attends"],
          ["2", "1 hides"],
        ]),
      ),
    },
    {
      name: "gqa-window",
      question: "GroupQueryAttention: how many keys does local_window_size = 2 leave a query?",
      graph: groupedWeights(6, { local_window_size: 2 }),
      read: windowWidth,
    },
  ];
}

function multiHead(
  q: HostTensor,
  k: HostTensor,
  v: HostTensor,
  heads: number,
  attributes: Readonly<Record<string, number>>,
  paddingMask?: HostTensor,
): OneOp {
  return {
    op: "MultiHeadAttention",
    domain: "com.microsoft",
    attributes: { num_heads: heads, ...attributes },
    operands: paddingMask ? [q, k, v, undefined, paddingMask] : [q, k, v],
    results: ["f32"],
  };
}

const [heads, groups, size] = [4, 2, 16];

/** Each fused op at lengths around the block sizes of its kernels, against the definition. */
export function numericProbes(): Probe[] {
  return lengths.flatMap((length) => {
    const draw = (name: string, count: number): HostTensor =>
      randomInputs([{ name, dtype: "f32", dims: [1, length, count * size] }], length).get(name)!;
    const q = draw("q", heads);
    const [k, v] = [draw("k", heads), draw("v", heads)];
    const [kg, vg] = [draw("kg", groups), draw("vg", groups)];
    const standard = (is_causal: number): OneOp => ({
      op: "Attention",
      domain: "",
      attributes: { is_causal, q_num_heads: heads, kv_num_heads: groups },
      operands: [q, kg, vg],
      results: ["f32"],
    });
    const full = { length, heads, groups: heads, size };
    const shared = { length, heads, groups, size };
    return [
      numeric("attention", length, standard(0), referenceAttention(q, kg, vg, { ...shared, causal: false })),
      numeric("attention-causal", length, standard(1), referenceAttention(q, kg, vg, { ...shared, causal: true })),
      numeric("mha", length, multiHead(q, k, v, heads, {}), referenceAttention(q, k, v, { ...full, causal: false })),
      numeric(
        "mha-causal",
        length,
        multiHead(q, k, v, heads, { unidirectional: 1 }),
        referenceAttention(q, k, v, { ...full, causal: true }),
      ),
      numeric(
        "gqa",
        length,
        grouped({ q, k: kg, v: vg, length, heads, groups }),
        referenceAttention(q, kg, vg, { ...shared, causal: true }),
      ),
    ];
  });
}

/** A hundred roundings of f32 around one: what sums of this length can differ by. */
const numericTolerance = 1e-5;

function numeric(name: string, length: number, graph: OneOp, reference: Float64Array): Probe {
  return {
    name: `${name}-numerics-${length}`,
    question: `${graph.op}: does it compute softmax(QKᵀ/√d)·V for ${length} tokens?`,
    graph,
    read: (output) => {
      const error = output.reduce((worst, value, i) => Math.max(worst, Math.abs(value - reference[i]!)), 0);
      const ok = output.length === reference.length && error <= numericTolerance;
      return { answer: `largest error ${error.toExponential(1)}`, ok };
    },
  };
}
