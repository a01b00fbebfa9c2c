import { type Arena, attrsOf, graphOf } from "../../ir/arena.ts";
import { isFloat } from "../../ir/dtype.ts";
import { type Graph, type Node, nodesOf, type Value } from "../../ir/graph.ts";
import { substitute } from "../rewrite/substitute.ts";
import { isRowOf, type PaddingMask, realTokens, uniform } from "./padding.ts";

/**
 * The graph with zeros at padding wherever that is seen from outside: in outputs [batch, length, …], and in values whose
 * first position stands for the sequence. Another graph than the one declared, which `unpad` then need not show
 * padding of.
 */
export function clearPadding(graph: Graph, mask: PaddingMask, arena: Arena): Graph {
  const hasRows = (value: Value) => isFloat(value.type.dtype) && isRowOf(mask, value.type.shape);
  const first = nodesOf(graph).filter((node) => takesFirst(node) && hasRows(node.operands[0]!));
  const replaced = new Map<Value, Value>();
  for (const node of first) {
    const [x, ...others] = node.operands as [Value, ...Value[]];
    replaced.set(node.results[0]!, arena.rebuild(node, [cleared(x, mask, arena), ...others]).results[0]!);
  }
  const { name, inputs, outputs } = substitute(graph, replaced, arena);
  const shown = (value: Value) => (hasRows(value) ? cleared(value, mask, arena) : value);
  return graphOf(
    name,
    inputs,
    outputs.map((output) => [output.name, shown(output.value)] as const),
  );
}

function cleared(value: Value, mask: PaddingMask, arena: Arena): Value {
  const b = arena.build;
  const shape = [mask.batch, mask.length, ...value.type.shape.slice(2).map(() => 1)];
  const real = b.reshape(realTokens(mask, arena), { shape });
  return b.select(real, value, b.scalar(0, value.type.dtype));
}

/** Whether a node cuts position 0 out of [batch, length, …]: what stands for a sequence where padding comes last. */
export function takesFirst(node: Node): boolean {
  if (node.op === "slice") {
    const { axis, start, end } = attrsOf(node, "slice");
    return axis === 1 && start === 0 && end === 1;
  }
  if (node.op !== "gather") return false;
  const { axis, batch } = attrsOf(node, "gather");
  return axis === 1 && batch === 0 && uniform(node.operands[1]!) === 0;
}
