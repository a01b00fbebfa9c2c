import { Arena, graphOf } from "../../../../src/ir/arena.ts";
import type { AttrValue } from "../../../../src/ir/attrs.ts";
import { parseSpec, showSpec } from "../../../../src/ir/contraction.ts";
import { type Graph, type Node, nodesOf, type Value } from "../../../../src/ir/graph.ts";
import {
  applied,
  type IndexExpr,
  isFormula,
  lookup,
  partsInOrder,
  partsOf,
} from "../../../../src/ir/index-expr/types.ts";
import type { HostTensor } from "../../../../src/ir/tensor.ts";

/**
 * A graph with what a model file cannot say spelled one way: einsum as contract, labels named in order, axes counted from
 * the front, graphs within nodes and their ends numbered, parameters whose tensors are `known` as constants.
 */
export function normalForm(graph: Graph, known: ReadonlyMap<string, HostTensor> = new Map()): Graph {
  return copy(graph, graph.name, new Arena(), known, (name) => name);
}

function copy(
  graph: Graph,
  name: string,
  arena: Arena,
  known: ReadonlyMap<string, HostTensor>,
  rename: (name: string, i: number) => string,
): Graph {
  const values = new Map<Value, Value>();
  graph.inputs.forEach((value, i) => {
    const input = arena.build.input({ name: rename(String(value.node.attrs.get("name")), i), ...value.type });
    values.set(value, input);
  });
  for (const node of nodesOf(graph)) {
    if (node.op === "input") continue;
    const tensor = node.op === "param" ? known.get(String(node.attrs.get("name"))) : undefined;
    const made = tensor
      ? arena.node("constant", [], { value: tensor })
      : arena.node(
          node.op === "einsum" ? "contract" : node.op,
          node.operands.map((value) => values.get(value)!),
          attrsOf(node, arena, known),
        );
    node.results.forEach((value, i) => values.set(value, made.results[i]!));
  }
  const inputs = graph.inputs.map((value) => values.get(value)!);
  const outputs = graph.outputs.map((output, i) => [rename(output.name, i), values.get(output.value)!] as const);
  return graphOf(name, inputs, outputs);
}

function attrsOf(node: Node, arena: Arena, known: ReadonlyMap<string, HostTensor>): Record<string, AttrValue> {
  const rank = Math.max(0, ...node.operands.map(({ type }) => type.shape.length));
  const entries = [...node.attrs].map(([key, value]): [string, AttrValue] => {
    if (isFormula(value)) return [key, leftGrouped(value)];
    if (key === "spec") return [key, numberedLabels(String(value))];
    if (key === "axis" && typeof value === "number") return [key, value < 0 ? value + rank : value];
    if (key === "axes") return [key, (value as readonly number[]).map((axis) => (axis < 0 ? axis + rank : axis))];
    const isGraph = typeof value === "object" && "outputs" in value;
    if (isGraph) return [key, copy(value as Graph, key, arena, known, (_, i) => `${key}.${i}`)];
    return [key, value];
  });
  return Object.fromEntries(entries);
}

/** `a && (b && c)` as `a && b && c`: what formatters and bundlers make of it. */
function leftGrouped(root: IndexExpr): IndexExpr {
  const done = new Map<IndexExpr, IndexExpr>();
  for (const part of partsInOrder(root)) {
    const inner = partsOf(part).map((one) => done.get(one)!);
    const made =
      part.kind === "apply" ? applied(part.fn, ...inner) : part.kind === "lookup" ? lookup(part.table, inner) : part;
    const logic = part.kind === "apply" && (part.fn === "and" || part.fn === "or") ? part.fn : undefined;
    done.set(part, logic ? joinedBy(logic, made).reduce((x, y) => applied(logic, x, y)) : made);
  }
  return done.get(root)!;
}

const joinedBy = (fn: "and" | "or", expr: IndexExpr): readonly IndexExpr[] =>
  expr.kind === "apply" && expr.fn === fn ? expr.args.flatMap((arg) => joinedBy(fn, arg)) : [expr];

function numberedLabels(spec: string): string {
  const { operands, result } = parseSpec(spec);
  const labels = [...new Set(operands.flat())];
  const number = (label: string) => `l${labels.indexOf(label)}`;
  return showSpec({ operands: operands.map((list) => list.map(number)), result: result.map(number) });
}
