// What researchers import: the DSL, and the compiler as functions.

export { encodeModel, writeModel } from "./backends/onnx/encode.ts";
export type { Session, SessionOptions } from "./backends/ort/session.ts";
export { openCheckpoint } from "./backends/weights/checkpoint.ts";
export type { WeightStore } from "./backends/weights/store.ts";
export { checkAgainst } from "./check.ts";
export { type CompareOptions, compare } from "./compare.ts";
export type { CompareReport } from "./compare-report.ts";
export { type Compiled, type CompileOptions, compile } from "./compile.ts";
export * from "./dsl/index.ts";
export { randomFeeds } from "./feeds.ts";
export { QkvError } from "./ir/diagnostics.ts";
export { parseGraph } from "./ir/parse.ts";
export { printGraph } from "./ir/print.ts";
export { type HostTensor, hostTensor } from "./ir/tensor.ts";
export { session } from "./session.ts";
export { verify } from "./verify.ts";
export type { VerifyReport } from "./verify-report.ts";
