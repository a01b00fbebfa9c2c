import type { Arena } from "../../ir/arena.ts";
import { attrsOf } from "../../ir/arena.ts";
import { parseSpec, showSpec } from "../../ir/contraction.ts";
import { allocate } from "../../ir/dtype.ts";
import { type Graph, type Node, nodesOf, type Value } from "../../ir/graph.ts";
import { type HostTensor, hostTensor } from "../../ir/tensor.ts";
import { layoutOf } from "./idioms.ts";
import { countUses } from "./items.ts";
import { layerOf, layerPrefix } from "./loops.ts";
import { replaceAll } from "./stored.ts";

/** A stored tensor under another name. */
export interface Renamed {
  readonly from: string;
  /** It lies the other way round. */
  readonly transposed: boolean;
}

/** A graph whose weights all have names that say what they are. */
export interface Christened {
  readonly graph: Graph;
  /** By new name. */
  readonly renamed: ReadonlyMap<string, Renamed>;
}

/**
 * Exporters fold transposes into weights, which then are called after nothing: `onnx::MatMul_398`. Such a weight gets the
 * name that goes with its bias, or of the module the product is called after, else one in the layer it depends on; that
 * of a linear layer lies as checkpoints store it, [out, in].
 */
export function christen(graph: Graph, arena: Arena): Christened {
  const counts = countUses(graph);
  const taken = new Set(nodesOf(graph).flatMap(({ op, attrs }) => (op === "param" ? [String(attrs.get("name"))] : [])));
  const renamed = new Map<string, Renamed>();
  const replaced = new Map<Value, Value>();
  const biases = biasesOf(graph);
  const places = placesOf(graph);
  const ordinals = new Map<string, number>();
  for (const node of nodesOf(graph)) {
    const at = node.operands.findIndex((value) => isNameless(value) && counts.get(value) === 1);
    if (at < 0) continue;
    const { name: from, shape, dtype } = attrsOf(node.operands[at]!.node, "param");
    const lies = at === 1 ? layoutOf(node) : undefined;
    const module = lies ? moduleOf(arena.hintOf(node.results[0]!).name) : undefined;
    const wanted = besideBias(biases.get(node)) ?? (module === undefined ? undefined : `${module}.weight`);
    const place = places.get(node) ?? "";
    const ordinal = ordinals.get(place) ?? 0;
    const isWanted = wanted !== undefined && !taken.has(wanted);
    const name = isWanted ? wanted : fresh(lies ? `${place}linear_` : `${place}tensor_`, ordinal, taken);
    if (!isWanted) ordinals.set(place, ordinal + 1);
    taken.add(name);
    const transposed = lies === "in-out";
    renamed.set(name, { from, transposed });
    const param = arena.build.param({ name, dtype, shape: transposed ? shape.toReversed() : shape });
    const attrs = Object.fromEntries(node.attrs);
    const turned = transposed ? { ...attrs, spec: withSecondReversed(String(attrs.spec)) } : attrs;
    const other = arena.node(node.op, node.operands.with(at, param), turned);
    node.results.forEach((value, i) => replaced.set(value, other.results[i]!));
  }
  return { graph: replaceAll(graph, replaced, arena), renamed };
}

/** Exporters count values (`val_12`, `onnx::MatMul_398`); names that people gave lead through modules. */
const isNameless = ({ node }: Value): boolean => {
  if (node.op !== "param") return false;
  const { name } = attrsOf(node, "param");
  return /::|\//.test(name) || /^(\w*_)?\d+$/.test(name);
};

/** The weight that goes with a bias. */
const besideBias = (bias: string | undefined): string | undefined =>
  bias?.endsWith("bias") && bias.includes(".") ? `${bias.slice(0, -"bias".length)}weight` : undefined;

function fresh(stem: string, from: number, taken: ReadonlySet<string>): string {
  let i = from;
  while (taken.has(`${stem}${i}.weight`)) i++;
  return `${stem}${i}.weight`;
}

/** `/encoder/layer.0/query/MatMul_output_0` is a value of the module `encoder.layer.0.query`. */
function moduleOf(hint: string | undefined): string | undefined {
  const parts = hint?.startsWith("/") ? hint.slice(1).split("/").slice(0, -1) : [];
  return parts.length > 0 ? parts.join(".") : undefined;
}

/** The name of the parameter that is added to each product. */
function biasesOf(graph: Graph): ReadonlyMap<Node, string> {
  const names = new Map<Node, string>();
  for (const { op, operands } of nodesOf(graph)) {
    if (op !== "add") continue;
    const param = operands.find(({ node }) => node.op === "param");
    const other = operands.find((value) => value !== param);
    if (param && other && param.type.shape.length === 1) names.set(other.node, attrsOf(param.node, "param").name);
  }
  return names;
}

/** What would stand before the name of a parameter first used at a node: the layer it depends on, the latest of several. */
function placesOf(graph: Graph): ReadonlyMap<Node, string> {
  const keyOf = (node: Node): string | undefined => {
    if (node.op !== "param" || isNameless(node.results[0]!)) return undefined;
    const layer = layerOf(attrsOf(node, "param").name);
    return layer ? `${layerPrefix(layer.prefix, layer.index)}.` : `${node.id}`;
  };
  // Layers rank by where they are last needed, as in loops.
  const ranks = new Map<string, number>();
  nodesOf(graph).forEach((node, at) => {
    const key = keyOf(node);
    if (key !== undefined) ranks.set(key, at);
  });
  const places = new Map<Node, { readonly rank: number; readonly prefix: string }>();
  const start = { rank: -1, prefix: "" };
  for (const node of nodesOf(graph)) {
    const key = keyOf(node);
    const own = key === undefined ? start : { rank: ranks.get(key)!, prefix: key.endsWith(".") ? key : "" };
    const below = node.operands.map((value) => places.get(value.node) ?? start);
    places.set(
      node,
      [own, ...below].reduce((x, y) => (y.rank > x.rank ? y : x)),
    );
  }
  return new Map([...places].map(([node, { prefix }]) => [node, prefix]));
}

function withSecondReversed(text: string): string {
  const { operands, result } = parseSpec(text);
  return showSpec({ operands: [operands[0]!, operands[1]!.toReversed()], result });
}

/** A matrix the other way round. */
export function transposedTensor({ dtype, dims, data }: HostTensor): HostTensor {
  const [rows, columns] = dims as readonly [number, number];
  const out = allocate(dtype, data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j]!;
  return hostTensor(dtype, [columns, rows], out);
}
