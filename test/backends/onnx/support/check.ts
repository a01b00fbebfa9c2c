import { expect } from "vitest";
import { encodeModel } from "../../../../src/backends/onnx/encode.ts";
import { type ExportTarget, exportGraph } from "../../../../src/backends/onnx/export.ts";
import type { OnnxModel } from "../../../../src/backends/onnx/schema.ts";
import { type OptimizationLevel, openSession } from "../../../../src/backends/ort/session.ts";
import type { Arena } from "../../../../src/ir/arena.ts";
import type { DType } from "../../../../src/ir/dtype.ts";
import { isFloat } from "../../../../src/ir/dtype.ts";
import { evaluateGraph } from "../../../../src/ir/evaluate.ts";
import type { Graph } from "../../../../src/ir/graph.ts";
import { elementCount, fromNumbers, type HostTensor, toFloat64 } from "../../../../src/ir/tensor.ts";

export const levels: readonly OptimizationLevel[] = ["disabled", "basic", "extended", "all"];
export const standard = (opset = 23): ExportTarget => ({ opset, contrib: false });
export const ortCpu = (opset = 23): ExportTarget => ({ opset, contrib: true });

/** Numbers between -1 and 1 that look random and are the same in every run. */
export function numbers(length: number, seed = 1): number[] {
  let state = (seed * 2654435761) >>> 0;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32) * 2 - 1;
  });
}

/** A tensor of such numbers; integers from -4 to 4 (0 to 8 unsigned), bools about half of each. */
export function tensor(dtype: DType, dims: readonly number[], seed = 1): HostTensor {
  const values = numbers(elementCount(dims), seed);
  if (isFloat(dtype)) return fromNumbers(dtype, dims, values);
  if (dtype === "bool")
    return fromNumbers(
      dtype,
      dims,
      values.map((x) => (x > 0 ? 1 : 0)),
    );
  const shift = dtype === "u8" ? 4 : 0;
  return fromNumbers(
    dtype,
    dims,
    values.map((x) => Math.round(x * 4) + shift),
  );
}

export type Reference = ReturnType<typeof evaluateGraph>;

export interface CheckOptions {
  readonly weights?: ReadonlyMap<string, HostTensor>;
  readonly dims?: ReadonlyMap<string, number>;
  readonly levels?: readonly OptimizationLevel[];
  /** The reference, where it is known; evaluated otherwise. */
  readonly expected?: Reference;
  /** Largest allowed |difference| / (1 + |reference|). */
  readonly tolerance?: number;
}

export const reader = (weights: ReadonlyMap<string, HostTensor> = new Map()) => ({
  read: (name: string): HostTensor => weights.get(name)!,
});

const tolerances: Partial<Record<DType, number>> = { f32: 2e-5, f16: 4e-3, f64: 1e-12 };

/** Runs the exported graph at every level and compares with the float64 reference; answers the model. */
export async function check(
  arena: Arena,
  graph: Graph,
  feeds: ReadonlyMap<string, HostTensor>,
  target: ExportTarget,
  options: CheckOptions = {},
): Promise<OnnxModel> {
  const weights = reader(options.weights);
  const model = exportGraph(graph, { arena, target, weights, ...(options.dims ? { dims: options.dims } : {}) });
  const expected = options.expected ?? evaluateGraph(graph, feeds, { weights });
  const { model: bytes } = encodeModel(model);
  for (const level of options.levels ?? levels) {
    const session = await openSession(bytes, { level, threads: 1 });
    const results = await session.run(feeds);
    await session.close();
    for (const { name } of graph.outputs) {
      const [got, want] = [results.get(name)!, expected.get(name)!];
      expect(got.dims, `${name} at ${level}`).toEqual(want.dims);
      const tolerance = options.tolerance ?? tolerances[got.dtype] ?? 0;
      expect(worst(toFloat64(got), want.data), `${name} at ${level}`).toBeLessThanOrEqual(tolerance);
    }
  }
  return model;
}

/** Largest |a - b| / (1 + |b|); ∞ where one is NaN or infinite and the other is not the same. */
export function worst(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    if (Object.is(x, y) || x === y) continue;
    const error = Math.abs(x - y) / (1 + Math.abs(y));
    if (!(error <= most)) most = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
  }
  return most;
}

export const operators = (model: OnnxModel): readonly string[] => model.graph.nodes.map(({ opType }) => opType);
export const count = (model: OnnxModel, opType: string): number =>
  operators(model).filter((each) => each === opType).length;
