import { opDef } from "../../../ir/arena.ts";
import { bindsDims, inBindingOrder } from "../../../ir/binding.ts";
import { fail, invariant } from "../../../ir/diagnostics.ts";
import type { Node, Value } from "../../../ir/graph.ts";
import type { Emitter } from "./emitter.ts";
import { loweringOf } from "./index.ts";
import { lowerContext } from "./lowering.ts";
import type { Ref } from "./ref.ts";

/**
 * Writes everything `values` need that has not been written yet. A composite without an operator at this target is
 * written as its decomposition; throws QKV460 for an op that has neither.
 */
export function lowerValues(e: Emitter, values: readonly Value[]): void {
  const { order, stuck } = inBindingOrder(missing(e, values), e.shapes.known());
  const nodes = [...order, ...stuck];
  for (const value of values) e.use(value);
  for (const node of nodes) for (const operand of node.operands) e.use(operand);
  for (const node of nodes) lowerNode(e, node);
}

/** The nodes `values` need, operands first, without those that are written already. Iterative: depth is free. */
function missing(e: Emitter, values: readonly Value[]): readonly Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  const stack: { readonly node: Node; next: number }[] = [];
  const visit = (value: Value) => {
    if (seen.has(value.node) || e.find(value)) return;
    seen.add(value.node);
    stack.push({ node: value.node, next: 0 });
  };
  for (const value of values) {
    visit(value);
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const operand = top.node.operands[top.next++];
      if (operand) visit(operand);
      else order.push(stack.pop()!.node);
    }
  }
  return order;
}

function lowerNode(e: Emitter, node: Node): void {
  e.serve(node);
  const refs = written(e, node) ?? decomposed(e, node);
  const { name } = e.arena.hintOf(node.results[0]!);
  node.results.forEach((value, i) => {
    const ref = refs[i];
    if (!ref) return;
    const wanted = e.arena.hintOf(value).name ?? (i > 0 && name !== undefined ? `${name}_${i}` : undefined);
    ref.wanted ??= wanted;
    e.define(value, ref);
  });
  if (bindsDims(node)) e.shapes.bind(node.results.flatMap((value, i) => (refs[i] ? [{ value, ref: refs[i] }] : [])));
}

function written(e: Emitter, node: Node): readonly (Ref | undefined)[] | undefined {
  const lowering = loweringOf(node.op);
  if (!lowering) fail("QKV460", `${node.op} has no form in ONNX`);
  const { kernels } = e.target;
  if (kernels && !kernels.has(node.op) && opDef(node.op).decompose) return undefined;
  const lowered = lowering(lowerContext(e, node));
  if (lowered === undefined) return undefined;
  return Array.isArray(lowered) ? (lowered as readonly (Ref | undefined)[]) : [lowered as Ref];
}

function decomposed(e: Emitter, node: Node): readonly (Ref | undefined)[] {
  const { decompose } = opDef(node.op);
  if (!decompose)
    fail("QKV460", `${node.op} cannot be written for opset ${e.target.opset}`, {
      notes: [
        `${node.results.map(({ type }) => type.dtype).join(", ")}${e.target.contrib ? ", com.microsoft allowed" : ""}`,
      ],
    });
  const attrs = Object.fromEntries(node.attrs);
  const built = decompose(e.arena.build, node.operands, attrs);
  const values = Array.isArray(built) ? (built as readonly Value[]) : [built as Value];
  const wanted = values.flatMap((value, i) => (e.isUsed(node.results[i]!) ? [value] : []));
  invariant(wanted.length > 0, `nothing uses ${node.op}`);
  e.lower(wanted);
  return values.map((value, i) => (e.isUsed(node.results[i]!) ? e.ref(value) : undefined));
}
