import { Arena } from "../../../src/ir/arena.ts";
import { evaluate, symbolsOf } from "../../../src/ir/dim.ts";
import { evaluateGraph } from "../../../src/ir/evaluate.ts";
import { type Graph, nodesOf } from "../../../src/ir/graph.ts";
import type { RefTensor } from "../../../src/ir/op-def.ts";
import { fromNumbers, type HostTensor } from "../../../src/ir/tensor.ts";
import { defaultPassOptions, type PassOptions, type WeightReader } from "../../../src/passes/pass.ts";
import type { PipelineContext } from "../../../src/passes/pipeline.ts";
import { ortCpuTarget, type Target } from "../../../src/passes/target.ts";

export interface ContextOptions {
  readonly arena?: Arena;
  readonly target?: Target;
  readonly dims?: ReadonlyMap<string, number>;
  readonly weights?: WeightReader;
  readonly options?: Partial<PassOptions>;
}

/** A context for passes, complete unless told otherwise. */
export const contextOf = ({ arena, target, dims, weights, options }: ContextOptions = {}): PipelineContext => ({
  arena: arena ?? new Arena(),
  target: target ?? ortCpuTarget(),
  dims: dims ?? new Map(),
  options: { ...defaultPassOptions, ...options },
  ...(weights ? { weights } : {}),
});

/** Numbers in [-1, 1), the same in every run. */
function stream(seed: number): () => number {
  let state = (seed * 2654435761) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

const oddSizes = [3, 5, 7, 2, 1, 4];

/** Sizes for the symbols of a graph's inputs: small, odd, and all different. */
export function sizesFor(graph: Graph): Map<string, number> {
  const names = new Set(graph.inputs.flatMap(({ type }) => type.shape.flatMap((dim) => [...symbolsOf(dim)])));
  return new Map([...names].map((name, i) => [name, oddSizes[i % oddSizes.length]!]));
}

function randomTensor(dtype: HostTensor["dtype"], dims: readonly number[], seed: number): HostTensor {
  const next = stream(seed);
  const count = dims.reduce((product, dim) => product * dim, 1);
  const last = dims.at(-1) ?? 1;
  // Rows of a mask always let something through: what a row that sees nothing means is not defined by all spellings.
  const draw = (i: number) => {
    if (dtype === "bool") return next() > 0 || i % last === 0 ? 1 : 0;
    return dtype === "i64" || dtype === "i32" ? Math.abs(Math.trunc(next() * 2)) : next();
  };
  return fromNumbers(
    dtype,
    dims,
    Array.from({ length: count }, (_, i) => draw(i)),
  );
}

const hash = (text: string): number =>
  [...text].reduce((sum, char) => (Math.imul(sum, 31) + char.charCodeAt(0)) | 0, 7);

export const feedsFor = (graph: Graph, sizes: ReadonlyMap<string, number>): Map<string, HostTensor> =>
  new Map(
    graph.inputs.map(({ node, type }) => {
      const name = String(node.attrs.get("name"));
      return [
        name,
        randomTensor(
          type.dtype,
          type.shape.map((dim) => evaluate(dim, sizes)),
          hash(name),
        ),
      ];
    }),
  );

/** Random weights for every parameter a graph has. */
export function weightsFor(graph: Graph): WeightReader {
  const params = nodesOf(graph).filter(({ op }) => op === "param");
  const tensors = new Map(
    params.map(({ attrs, results }) => {
      const { dtype, shape } = results[0]!.type;
      const name = String(attrs.get("name"));
      return [name, randomTensor(dtype, shape as readonly number[], hash(name))];
    }),
  );
  return { has: (name) => tensors.has(name), read: (name) => tensors.get(name)! };
}

export function evaluated(
  graph: Graph,
  sizes: ReadonlyMap<string, number>,
  feeds: ReadonlyMap<string, HostTensor>,
  weights: WeightReader,
): Map<string, RefTensor> {
  return evaluateGraph(graph, feeds, { weights, dims: sizes });
}

/** As `difference`, leaving out where the first is NaN: rows that see nothing under a mask of minus infinity. */
export const differenceOfNumbers = (p: RefTensor, q: RefTensor): number =>
  difference(p, { ...q, data: q.data.map((y, i) => (Number.isNaN(p.data[i]!) ? Number.NaN : y)) });

/** The largest difference of two results, relative where numbers are larger than 1. Unequal shapes and NaNs are ∞. */
export function difference(p: RefTensor, q: RefTensor): number {
  if (p.dims.join() !== q.dims.join()) return Number.POSITIVE_INFINITY;
  let worst = 0;
  p.data.forEach((x, i) => {
    const y = q.data[i]!;
    if (Object.is(x, y) || x === y) return;
    const apart = Math.abs(x - y) / Math.max(1, Math.abs(x));
    worst = Math.max(worst, Number.isNaN(apart) ? Number.POSITIVE_INFINITY : apart);
  });
  return worst;
}
