import { atLeast, type Dim, ofNonEmpty } from "../../../ir/dim.ts";
import type { Graph, Value } from "../../../ir/graph.ts";
import type { control } from "../../../ir/ops/control.ts";
import { scalarOf } from "../../../passes/rewrite/scalar.ts";
import type { Emitter } from "./emitter.ts";
import type { LowerContext, Lowerings } from "./lowering.ts";
import { int, type PendingGraph, Ref } from "./ref.ts";

/** A held graph with its inputs bound to tensors. It reads weights and dimensions of the outer graph by name. */
function written(e: Emitter, body: Graph, bound: readonly Ref[]): PendingGraph {
  const inputs = new Map<Value, Ref>(body.inputs.map((input, i) => [input, bound[i]!]));
  const { result: outputs, nodes } = e.inGraph(inputs, (emitted) => {
    e.lower(body.outputs.map(({ value }) => value));
    // A graph answers with tensors it made itself, each once.
    const own = new Set(emitted.flatMap((each) => each.outputs));
    return body.outputs.map(({ value }) => {
      const ref = e.ref(value);
      return own.delete(ref) ? ref : e.op(value.type, "Identity", [ref]);
    });
  });
  return { name: body.name, nodes, outputs };
}

/** What `size < number` tells of the size. */
function limitOf({ node }: Value): { readonly dim: Dim; readonly below: number } | undefined {
  const [size, limit] = node.operands;
  const below = node.op === "less" && size!.node.op === "size" ? scalarOf(limit!) : undefined;
  return below === undefined ? undefined : { dim: size!.node.attrs.get("of") as Dim, below };
}

function branch({ e, operands, attrs, node }: LowerContext<"if">): readonly Ref[] {
  const [condition, ...captures] = operands;
  const types = node.results.map(({ type }) => type);
  const limit = limitOf(node.operands[0]!);
  captures.forEach((ref, i) => e.tellNumbers(ref, node.operands[i + 1]!));
  const writtenIf = (holds: boolean): PendingGraph => {
    const write = () => written(e, holds ? attrs.whenTrue : attrs.whenFalse, captures);
    if (!limit) return write();
    const range = holds ? { from: 0, to: limit.below - 1 } : { from: limit.below, to: Number.POSITIVE_INFINITY };
    return e.given(limit.dim, range, write);
  };
  return e.branch(types, condition!, writtenIf(true), writtenIf(false));
}

/** States and slices are the body's inputs; captures it reads by name. */
function steps({ e, operands, attrs, node }: LowerContext<"scan">): readonly (Ref | undefined)[] {
  const { body, states, sequences } = attrs;
  const scanned = states + sequences;
  const inputs = body.inputs.slice(0, scanned).map(({ type }) => new Ref(type));
  body.inputs.slice(0, scanned).forEach((value, i) => {
    inputs[i]!.wanted = String(value.node.attrs.get("name"));
  });
  const graph = { ...written(e, body, [...inputs, ...operands.slice(scanned)]), inputs };
  const types = node.results.map(({ type }) => type);
  return e.ops(types, "Scan", operands.slice(0, scanned), { body: graph, num_scan_inputs: int(sequences) });
}

/** States as they were, and nothing of each step. */
function noSteps({ e, operands, attrs, node }: LowerContext<"scan">): readonly Ref[] {
  return node.results.map(({ type }, i) =>
    i < attrs.states
      ? e.op(type, "Identity", [operands[i]])
      : e.op(type, "Expand", [e.scalar(type.dtype, 0), e.vector(type.shape)]),
  );
}

/** Whether a dimension may be 0 where none of those the model names is. */
const maybeNothing = (dim: Dim): boolean => !atLeast(ofNonEmpty(dim), 1);

/** ONNX Runtime refuses sequences of no steps. */
function scan(cx: LowerContext<"scan">): readonly (Ref | undefined)[] {
  const { e, attrs, node } = cx;
  const length = node.operands[attrs.states]?.type.shape[0] ?? 1;
  if (!maybeNothing(length)) return steps(cx);
  const { build: b } = e.arena;
  const isNothing = b.less(b.size({ of: length }), b.scalar(1, "i64"));
  e.lower([isNothing]);
  const filled = (name: string, fill: typeof steps) => e.branchOf(name, () => fill(cx).map((ref) => ref!));
  const types = node.results.map(({ type }) => type);
  return e.branch(types, e.ref(isNothing), filled("nothing", noSteps), filled("steps", steps));
}

export const controlLowerings: Lowerings<keyof typeof control> = { if: branch, scan };
