import { randomWeights } from "../../src/backends/weights/random-weights.ts";
import { type Declared, paramsOf } from "../../src/compile.ts";
import { randomFeeds } from "../../src/feeds.ts";
import { graphOf } from "../../src/ir/arena.ts";
import type { TableValues } from "../../src/ir/index-expr/evaluate.ts";
import type { IndexTable } from "../../src/ir/index-expr/types.ts";
import { toFloat64 } from "../../src/ir/tensor.ts";
import { reference } from "../../src/reference.ts";

/** What tables that are tensors hold in a run with random weights and inputs. */
export function tableValues(
  { graph }: Declared,
  tables: readonly IndexTable[],
  sizes: ReadonlyMap<string, number>,
): TableValues {
  const outputs = tables.flatMap((table, i) => (table.kind === "tensor" ? [[String(i), table.value] as const] : []));
  if (outputs.length === 0) return new Map();
  const part = graphOf(graph.name, graph.inputs, outputs);
  const found = reference(part, randomFeeds(graph, sizes, 0), randomWeights(paramsOf(graph), 0));
  return new Map(Array.from(found, ([i, tensor]) => [Number(i), { dims: tensor.dims, data: toFloat64(tensor) }]));
}

/** Points of a picture, a side. */
export const cells = 128;

/** The i-th of `count` positions over a length, evenly, the first and the last among them. */
export const positionOf = (i: number, count: number, length: number): number =>
  count === 1 ? 0 : Math.round((i * (length - 1)) / (count - 1));
