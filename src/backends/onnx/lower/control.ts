import type { Graph, Value } from "../../../ir/graph.ts";
import type { control } from "../../../ir/ops/control.ts";
import type { LowerContext, Lowerings } from "./lowering.ts";
import type { PendingGraph, Ref } from "./ref.ts";

/** Both branches read the captures, the weights and the dimensions of the outer graph by name. */
function branch({ e, operands, attrs, node }: LowerContext<"if">): readonly Ref[] {
  const [condition, ...captures] = operands;
  const types = node.results.map(({ type }) => type);
  const graph = (body: Graph): PendingGraph => {
    const bound = new Map<Value, Ref>(body.inputs.map((input, i) => [input, captures[i]!]));
    const { result: outputs, nodes } = e.inBranch(bound, (emitted) => {
      e.lower(body.outputs.map(({ value }) => value));
      // A branch answers with tensors it made itself, each once.
      const own = new Set(emitted.flatMap((each) => each.outputs));
      return body.outputs.map(({ value }) => {
        const ref = e.ref(value);
        return own.delete(ref) ? ref : e.op(value.type, "Identity", [ref]);
      });
    });
    return { name: body.name, nodes, outputs };
  };
  return e.branch(types, condition!, graph(attrs.whenTrue), graph(attrs.whenFalse));
}

export const controlLowerings: Lowerings<keyof typeof control> = { if: branch };
