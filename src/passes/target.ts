import type { OpName } from "../ir/ops/index.ts";

/** Measured preferences of a runtime. Numbers come from `bench/`; see docs/passes.md. */
export interface TargetChoices {
  /** `packedAttention` (heads side by side) beats `attention` between head transposes. */
  readonly packAttention: boolean;
  /** Products of one input are merged while it has up to this many elements; 0 never merges. */
  readonly mergeProjectionsUpTo: number;
  /** From this many queries on, kernels that never hold the scores win: without a mask, and causal. */
  readonly flashFrom: { readonly full: number; readonly causal: number };
  /** Hidden layers of more elements than this are computed in parts, to hold less at a time. */
  readonly cutHiddenFrom: number;
  /** Causal attention without a softmax, and recurrences, go by chunks. */
  readonly chunks: { readonly attention: ChunkChoice; readonly recurrence: ChunkChoice };
  /** Half precision is computed in f32: there is no arithmetic for it. */
  readonly widens: boolean;
  /** Subnormal numbers are slow, and scores are held up where weights would be some. */
  readonly holdsUp: boolean;
}

/** Chunks of `size` positions, for more positions than `above`. */
export interface ChunkChoice {
  readonly above: number;
  readonly size: number;
}

/** Standard operators only, so the same for every target: ONNX Runtime 1.30, CPU, 8 heads of width 64 (bench/linear.ts). */
const chunks = { attention: { above: 128, size: 64 }, recurrence: { above: 16, size: 32 } } as const;

/** What a backend can run, as plain data. */
export interface Target {
  readonly name: string;
  readonly doc: string;
  /** Version of the standard ONNX operator set. */
  readonly opset: number;
  /** May use the `com.microsoft` domain. */
  readonly contrib: boolean;
  /** Composites kept as they are; all others are decomposed. */
  readonly kernels: ReadonlySet<OpName>;
  readonly choices: TargetChoices;
}

/** Composites of the standard domain, with the operator set that brought them. */
const standardSince: readonly (readonly [op: OpName, opset: number])[] = [
  ["softmax", 17],
  ["logSoftmax", 17],
  ["relu", 17],
  ["elu", 17],
  ["reduceMean", 17],
  ["layerNorm", 17],
  ["gelu", 20],
  ["rmsNorm", 23],
  ["rope", 23],
  ["attention", 23],
  ["attentionWithWeights", 23],
  ["packedAttention", 23],
];

/** Composites ONNX Runtime's CPU provider has in `com.microsoft`. */
const contribKernels: readonly OpName[] = [
  "skipLayerNorm",
  "skipRmsNorm",
  "biasGelu",
  "gelu",
  "silu",
  "rope",
  "attention",
  "packedAttention",
];

const standardKernels = (opset: number): readonly OpName[] =>
  standardSince.filter(([, since]) => since <= opset).map(([op]) => op);

const attentions: ReadonlySet<OpName> = new Set(["attention", "attentionWithWeights", "packedAttention"]);

/** Standard ONNX at an operator set of 17 to 26: no custom ops, and attention spelled out, because runtimes differ in it. */
export const onnxTarget = (opset = 23): Target => ({
  name: "onnx",
  doc: "standard ONNX, no custom ops",
  opset,
  contrib: false,
  kernels: new Set(standardKernels(opset).filter((op) => !attentions.has(op))),
  choices: {
    packAttention: false,
    mergeProjectionsUpTo: 0,
    flashFrom: { full: Number.POSITIVE_INFINITY, causal: Number.POSITIVE_INFINITY },
    cutHiddenFrom: Number.POSITIVE_INFINITY,
    chunks,
    widens: false,
    holdsUp: true,
  },
});

/** ONNX Runtime on CPU, with its `com.microsoft` kernels. */
export const ortCpuTarget = (opset = 23): Target => ({
  name: "ort-cpu",
  doc: "ONNX Runtime on CPU: standard ONNX and com.microsoft kernels",
  opset,
  contrib: true,
  kernels: new Set([...standardKernels(opset), ...contribKernels]),
  choices: {
    packAttention: true,
    mergeProjectionsUpTo: 4096,
    flashFrom: { full: 1024, causal: 1024 },
    cutHiddenFrom: 2 ** 21,
    chunks,
    widens: true,
    holdsUp: true,
  },
});

/** What the graph is before anything is optimised: composites every ONNX has, and sums as their author wrote them. */
export const naiveTarget = (opset = 23): Target => ({
  name: "naive",
  doc: "the graph as declared, composites spelled out",
  opset,
  contrib: false,
  kernels: new Set<OpName>(["softmax", "layerNorm", "relu", "elu", "reduceMean", "einsum"]),
  choices: {
    packAttention: false,
    mergeProjectionsUpTo: 0,
    flashFrom: { full: Number.POSITIVE_INFINITY, causal: Number.POSITIVE_INFINITY },
    cutHiddenFrom: Number.POSITIVE_INFINITY,
    chunks,
    widens: false,
    holdsUp: false,
  },
});

/** Targets by name, each made for an operator set. */
export const targets: ReadonlyMap<string, (opset?: number) => Target> = new Map([
  ["onnx", onnxTarget],
  ["ort-cpu", ortCpuTarget],
]);
