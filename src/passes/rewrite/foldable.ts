import { opDef } from "../../ir/arena.ts";
import type { AttrValue } from "../../ir/attrs.ts";
import { holdsGraphs } from "../../ir/cost.ts";
import { type Dim, isStatic } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";

const foldability = new WeakMap<Node, boolean>();

/**
 * Whether only parameters and constants are below a value, so that it can be computed before the graph runs. As
 * `foldableNodes` of the IR says, but remembered for each node, because rules ask about single values all the time.
 * Control flow is left to run.
 */
export function isFoldable(value: Value): boolean {
  const stack = [{ node: value.node, next: 0 }];
  while (stack.length > 0) {
    const top = stack.at(-1)!;
    const { node } = top;
    const open = foldability.has(node) || !isNumeric(node) ? undefined : node.operands[top.next++];
    if (open) {
      if (!foldability.has(open.node)) stack.push({ node: open.node, next: 0 });
      continue;
    }
    stack.pop();
    if (!foldability.has(node))
      foldability.set(node, isNumeric(node) && node.operands.every((operand) => foldability.get(operand.node)));
  }
  return foldability.get(value.node)!;
}

/** Neither given nor only computed at run time, nor with a symbol in its types or attributes. */
function isNumeric(node: Node): boolean {
  if (node.op === "input" || node.op === "opaque" || holdsGraphs(node)) return false;
  if (!node.results.every(({ type }) => type.shape.every(isStatic))) return false;
  const { attrs } = opDef(node.op);
  for (const [name, value] of node.attrs) if (hasSymbol(attrs[name]!.kind, value)) return false;
  return true;
}

function hasSymbol(kind: string, value: AttrValue): boolean {
  if (kind === "dim") return !isStatic(value as Dim);
  return kind === "dims" && !(value as readonly Dim[]).every(isStatic);
}
