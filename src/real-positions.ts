import type { Compiled } from "./compile.ts";
import { attrsOf } from "./ir/arena.ts";
import { isFloat, type TypedArray } from "./ir/dtype.ts";
import { type Graph, nodesOf, type Value } from "./ir/graph.ts";
import { type HostTensor, toFloat64 } from "./ir/tensor.ts";
import { takesFirst } from "./passes/unpad/clear.ts";
import { isRowOf, type PaddingMask } from "./passes/unpad/padding.ts";

type Tensors = ReadonlyMap<string, HostTensor>;

/**
 * A function that leaves of outputs what a padding mask says nothing about: zeros at padding in those [batch, length, …],
 * and in those [batch, …] of sequences whose first position is read and is padding. Through it a file, which knows of no
 * zeros at padding, is compared with a graph that was declared to have them (`CompileOptions.unpad`).
 */
export function realPositions({ declared, padding }: Compiled, feeds: Tensors): (outputs: Tensors) => Tensors {
  if (!padding) return (outputs) => outputs;
  const mask = feeds.get(attrsOf(padding.source.node, "input").name)!;
  const [batch, length] = mask.dims as [number, number];
  const marks = toFloat64(mask);
  const firsts = Float64Array.from({ length: batch }, (_, i) => marks[i * length] ?? 0);
  const first = readingFirst(declared, padding);
  const marksOf = new Map<string, Float64Array>();
  for (const { name, value } of declared.outputs) {
    if (!isFloat(value.type.dtype)) continue;
    if (isRowOf(padding, value.type.shape)) marksOf.set(name, marks);
    else if (first.has(value) && value.type.shape[0] === padding.batch) marksOf.set(name, firsts);
  }
  return (outputs) =>
    new Map(
      Array.from(outputs, ([name, tensor]) => [name, marksOf.has(name) ? masked(tensor, marksOf.get(name)!) : tensor]),
    );
}

/** What is computed from the first position of each sequence. */
function readingFirst(graph: Graph, padding: PaddingMask): ReadonlySet<Value> {
  const found = new Set<Value>();
  for (const node of nodesOf(graph)) {
    const reads = takesFirst(node) && isRowOf(padding, node.operands[0]!.type.shape);
    if (reads || node.operands.some((value) => found.has(value))) for (const result of node.results) found.add(result);
  }
  return found;
}

/** Zeros in the parts of a float tensor whose mark is 0; there are as many parts as marks. */
function masked(tensor: HostTensor, marks: Float64Array): HostTensor {
  const data = tensor.data.slice() as Exclude<TypedArray, BigInt64Array>;
  const size = data.length / marks.length;
  marks.forEach((mark, i) => {
    if (mark === 0) data.fill(0, i * size, (i + 1) * size);
  });
  return { ...tensor, data };
}
