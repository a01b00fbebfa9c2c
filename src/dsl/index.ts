export { type AttentionOptions, attention, type MultiHeadOptions, multiHeadAttention } from "./attention.ts";
export { type BlockAttentionOptions, blockAttention } from "./block-attention.ts";
export { type CondOptions, cond } from "./cond.ts";
export type { Config, Configured } from "./config.ts";
export { einsum, matmul } from "./einsum.ts";
export {
  type ArgOptions,
  argMax,
  argMin,
  argSort,
  type GatherOptions,
  gather,
  oneHot,
  type ScatterOptions,
  type SortOptions,
  scatter,
  sort,
  type TopKOptions,
  takeAlong,
  topK,
} from "./indexing.ts";
export {
  constant,
  input,
  iota,
  type Nested,
  type OptionalInputOptions,
  optionalInput,
  type ParamOptions,
  param,
  scope,
  size,
} from "./leaves.ts";
export type { MaskFunction, ProbFunction, ScoreFunction, ScoreIndex } from "./lift/lift.ts";
export { maskTable, scoreTable, type TableSizes } from "./lift/oracle.ts";
export { type LinearAttentionOptions, linearAttention } from "./linear-attention.ts";
export {
  abs,
  add,
  and,
  cast,
  ceil,
  cos,
  div,
  type EluOptions,
  elu,
  equal,
  erf,
  exp,
  floor,
  type GeluOptions,
  greater,
  greaterEqual,
  less,
  lessEqual,
  log,
  maximum,
  minimum,
  mod,
  mul,
  neg,
  not,
  notEqual,
  or,
  pow,
  relu,
  round,
  sigmoid,
  sign,
  silu,
  sin,
  sqrt,
  sub,
  tanh,
} from "./math.ts";
export {
  type BuildOptions,
  type Built,
  type FromConfig,
  isModel,
  type Model,
  model,
  type Outputs,
  type Setting,
  type Settings,
} from "./model.ts";
export {
  broadcastTo,
  concat,
  expandDims,
  pad,
  reshape,
  roll,
  slice,
  split,
  squeeze,
  stack,
  transpose,
  where,
} from "./movement.ts";
export {
  type EmbeddingOptions,
  embedding,
  gelu,
  heads,
  type L2Options,
  type LinearOptions,
  l2Normalise,
  layerNorm,
  linear,
  merge,
  type NormOptions,
  rmsNorm,
} from "./nn.ts";
export { type OnnxOptions, type OnnxResult, onnx, onnxResults } from "./onnx.ts";
export { type OpAttributes, op, opResults, type PlainOp } from "./op.ts";
export {
  indexMatrix,
  type LearnedOptions,
  learnedPositions,
  type PositionOptions,
  type RopeOptions,
  rope,
  type SinusoidalOptions,
  sinusoidal,
} from "./position.ts";
export { type PatternSizes, rearrange, reduce, repeat } from "./rearrange.ts";
export {
  type AxisOptions,
  type CumsumOptions,
  cumsum,
  logSoftmax,
  logSumExp,
  max,
  mean,
  min,
  type ReduceOptions,
  softmax,
  sum,
} from "./reduce.ts";
export { type ScanOptions, type ScanResult, type Step, scan, type Tensors } from "./scan.ts";
export type { DimLike, Shape } from "./shape-types.ts";
export { type Operand, Tensor } from "./tensor.ts";
