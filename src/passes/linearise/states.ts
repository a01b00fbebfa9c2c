import { type Build, graphOf } from "../../ir/arena.ts";
import type { Graph, Value } from "../../ir/graph.ts";

type Step = (b: Build, inputs: readonly Value[]) => { readonly next: Value; readonly stacked: readonly Value[] };

/**
 * Walks the state from chunk to chunk: it starts as zeros of the type `state`; `sequences` have the
 * chunks first. Answers what `step` stacks.
 */
export function walk(b: Build, state: Value["type"], sequences: readonly Value[], step: Step): readonly Value[] {
  const start = b.broadcast(b.scalar(0, state.dtype), { shape: state.shape });
  const inputs = [start, ...sequences].map(({ type: { dtype, shape } }, i) =>
    b.input({ name: `chunk.${i}`, dtype, shape: i === 0 ? shape : shape.slice(1) }),
  );
  const { next, stacked } = step(b, inputs);
  const outputs = [next, ...stacked].map((value, i) => [`out.${i}`, value] as const);
  const body: Graph = graphOf("chunk", inputs, outputs);
  return b.scan(start, ...sequences, { body, states: 1, sequences: sequences.length }).node.results.slice(1);
}

/** [batch, heads, chunks, …] with the chunks first, as `walk` takes them. */
export const chunksFirst = (b: Build, x: Value): Value =>
  b.transpose(x, { perm: [2, 0, 1, ...[...x.type.shape.keys()].slice(3)] });

/** The inverse of `chunksFirst`. */
export const chunksThird = (b: Build, x: Value): Value =>
  b.transpose(x, { perm: [1, 2, 0, ...[...x.type.shape.keys()].slice(3)] });
