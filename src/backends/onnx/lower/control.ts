import type { Graph, Value } from "../../../ir/graph.ts";
import type { control } from "../../../ir/ops/control.ts";
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

function branch({ e, operands, attrs, node }: LowerContext<"if">): readonly Ref[] {
  const [condition, ...captures] = operands;
  const types = node.results.map(({ type }) => type);
  return e.branch(types, condition!, written(e, attrs.whenTrue, captures), written(e, attrs.whenFalse, captures));
}

/** States and slices are the body's inputs; captures it reads by name. ONNX Runtime refuses sequences of no steps. */
function scan({ e, operands, attrs, node }: LowerContext<"scan">): readonly (Ref | undefined)[] {
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

export const controlLowerings: Lowerings<keyof typeof control> = { if: branch, scan };
