import type { Arena } from "../../ir/arena.ts";
import { attrsOf } from "../../ir/arena.ts";
import { parseSpec, showSpec } from "../../ir/contraction.ts";
import { allocate, isFloat } from "../../ir/dtype.ts";
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
  /** Constants that became parameters, by name. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
}

/**
 * Exporters fold transposes into weights, which then are called after nothing: `onnx::MatMul_398`. Such a weight gets the
 * name that goes with its bias, or of the module the product is called after, else one in the layer it depends on; that
 * of a linear layer lies as checkpoints store it, [out, in]. Scales and zero points of quantised weights are weights too.
 */
export function christen(graph: Graph, arena: Arena): Christened {
  const taken = new Set(nodesOf(graph).flatMap(({ op, attrs }) => (op === "param" ? [String(attrs.get("name"))] : [])));
  const renamed = new Map<string, Renamed>();
  const tensors = new Map<string, HostTensor>();
  const replaced = new Map<Value, Value>();
  const names = new Names(graph, arena, taken);
  const counts = countUses(graph);
  for (const node of nodesOf(graph)) {
    let { operands } = node;
    let attrs = Object.fromEntries(node.attrs);
    node.operands.forEach((value, at) => {
      const part = weightPart(node, at);
      if (part !== undefined) {
        const tensor = attrsOf(value.node, "constant").value;
        const name = names.ofPart(node, part);
        if (name === undefined) return;
        tensors.set(name, tensor);
        operands = operands.with(at, arena.build.param({ name, dtype: tensor.dtype, shape: tensor.dims }));
      } else if (isNameless(value) && counts.get(value) === 1) {
        const { name: from, shape, dtype } = attrsOf(value.node, "param");
        const lies = at === 1 ? layoutOf(node) : undefined;
        const transposed = lies === "in-out";
        const name = names.of(node, from, lies !== undefined);
        renamed.set(name, { from, transposed });
        operands = operands.with(
          at,
          arena.build.param({ name, dtype, shape: transposed ? shape.toReversed() : shape }),
        );
        if (transposed) attrs = { ...attrs, spec: withSecondReversed(String(attrs.spec)) };
      }
    });
    if (operands === node.operands) continue;
    const other = arena.node(node.op, operands, attrs);
    node.results.forEach((value, i) => replaced.set(value, other.results[i]!));
  }
  return { graph: replaceAll(graph, replaced, arena), renamed, tensors };
}

/**
 * What an operand is of a weight that was quantised as a whole: the scale, which multiplies that of the other factor, or
 * the zero point, the last operand of a product, where it is not always 0.
 */
function weightPart({ op, operands }: Node, at: number): string | undefined {
  const { node, type } = operands[at]!;
  if (node.op !== "constant" || type.shape.length > 0) return undefined;
  const other = operands[1 - at];
  const isScale = op === "mul" && other?.node.op === "opaque" && other.type.shape.length === 0;
  if (isScale && isFloat(type.dtype)) return "_scale";
  const isProduct = op === "opaque" && at === 3 && operands[1]!.node.op === "param";
  return isProduct && type.dtype === "u8" ? "_zero_point" : undefined;
}

/** Finds names for weights, each once. */
class Names {
  readonly #arena: Arena;
  readonly #taken: Set<string>;
  readonly #biases: ReadonlyMap<Node, string>;
  readonly #places: ReadonlyMap<Node, string>;
  readonly #ordinals = new Map<string, number>();

  constructor(graph: Graph, arena: Arena, taken: Set<string>) {
    this.#arena = arena;
    this.#taken = taken;
    this.#biases = biasesOf(graph);
    this.#places = placesOf(graph);
  }

  /** The name of what `node` reads and exporters call `from`. */
  of(node: Node, from: string, isLinear: boolean): string {
    const suffix = /_(quantized|scale|zero_point)$/.exec(from)?.[0] ?? "";
    const wanted = isLinear || node.op === "opaque" || suffix !== "" ? this.#weight(node, suffix) : undefined;
    if (wanted !== undefined) return wanted;
    const place = this.#places.get(node) ?? "";
    const ordinal = this.#ordinals.get(place) ?? 0;
    this.#ordinals.set(place, ordinal + 1);
    const name = free(isLinear ? `${place}linear_` : `${place}tensor_`, ordinal, this.#taken);
    this.#taken.add(name);
    return name;
  }

  /** The name of a part of the weight whose product `node` makes or scales; nothing where no module is known. */
  ofPart(node: Node, part: string): string | undefined {
    return this.#weight(node, part);
  }

  /** That of a module's weight, if nothing has it. */
  #weight(node: Node, suffix: string): string | undefined {
    const module = besideBias(this.#biases.get(node)) ?? moduleOf(this.#arena.hintOf(node.results[0]!).name);
    const name = `${module}.weight${suffix}`;
    if (module === undefined || this.#taken.has(name)) return undefined;
    this.#taken.add(name);
    return name;
  }
}

/** Exporters count values (`val_12`, `onnx::MatMul_398`); names that people gave lead through modules. */
const isNameless = ({ node }: Value): boolean => {
  if (node.op !== "param") return false;
  const { name } = attrsOf(node, "param");
  return /::|\//.test(name) || /^(\w*_)?\d+$/.test(name);
};

/** The module a bias belongs to. */
const besideBias = (bias: string | undefined): string | undefined =>
  bias?.endsWith(".bias") ? bias.slice(0, -".bias".length) : undefined;

function free(stem: string, from: number, taken: ReadonlySet<string>): string {
  let i = from;
  while (taken.has(`${stem}${i}.weight`)) i++;
  return `${stem}${i}.weight`;
}

/** `/encoder/layer.0/query/MatMul_output_0` is a value of the module `encoder.layer.0.query`. */
function moduleOf(hint: string | undefined): string | undefined {
  const parts = hint?.startsWith("/") ? hint.slice(1).split("/").slice(0, -1) : [];
  return parts.length > 0 ? parts.join(".") : undefined;
}

/** The name of the parameter that is added to each product, and to each product of whole numbers once it is scaled. */
function biasesOf(graph: Graph): ReadonlyMap<Node, string> {
  const names = new Map<Node, string>();
  for (const { op, operands } of nodesOf(graph)) {
    if (op !== "add") continue;
    const param = operands.find(({ node }) => node.op === "param");
    const other = operands.find((value) => value !== param);
    if (!param || !other || param.type.shape.length !== 1) continue;
    const { name } = attrsOf(param.node, "param");
    for (let node: Node | undefined = other.node; node && !names.has(node); node = scaledBy(node))
      names.set(node, name);
  }
  return names;
}

/** What a node multiplies by a scale or gives another type. */
const scaledBy = ({ op, operands }: Node): Node | undefined =>
  op === "mul" || op === "cast"
    ? operands.find(({ node }) => node.op === "cast" || node.op === "opaque")?.node
    : undefined;

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
