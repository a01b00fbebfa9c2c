import { attrsOf } from "../../ir/arena.ts";
import { type ContractionSpec, parseSpec } from "../../ir/contraction.ts";
import { type Dim, divideExact, mul } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { type Code, call, named, options, ref, size, text } from "./code.ts";
import { epsilonCode, withNumbers } from "./operations.ts";

/** Several nodes that one function of the DSL makes. */
export interface Idiom {
  readonly code: Code;
  /** Nodes besides the one it ends in. */
  readonly absorbed: readonly Node[];
}

export interface IdiomContext {
  /** How many places need a value, graph outputs and graphs in the graph included. */
  usesOf(value: Value): number;
  /** What a parameter is called in the file that is written. */
  nameOf(param: Node): string;
}

type Recognise = (node: Node, cx: IdiomContext) => Idiom | undefined;

const isLone = (value: Value, cx: IdiomContext): boolean => cx.usesOf(value) === 1;
const isOwnParam = (value: Value | undefined, cx: IdiomContext): value is Value =>
  value !== undefined && value.node.op === "param" && isLone(value, cx);
const ends = (name: string, tail: string): string | undefined =>
  name.endsWith(tail) && name.length > tail.length ? name.slice(0, -tail.length) : undefined;

/** How a product of x and a weight lies: the weight as [out, in] or [in, out]; nothing where it is another product. */
export function layoutOf(node: Node): "out-in" | "in-out" | undefined {
  if ((node.op !== "contract" && node.op !== "einsum") || node.operands.length !== 2) return undefined;
  const { operands, result } = parseSpec(String(node.attrs.get("spec")));
  const [x, w] = operands as readonly [readonly string[], readonly string[]];
  const inner = x.at(-1)!;
  const out = result.at(-1)!;
  const rows = x.slice(0, -1);
  const fits = w.length === 2 && new Set(x).size === x.length && rows.every((label, i) => label === result[i]);
  if (!fits || result.length !== x.length || rows.includes(out) || inner === out) return undefined;
  if (w[0] === out && w[1] === inner) return "out-in";
  return w[0] === inner && w[1] === out ? "in-out" : undefined;
}

/** x Wᵀ + b, with weights of its own. */
const linear: Recognise = (node, cx) => {
  const [x, y] = node.op === "add" ? (node.operands as readonly [Value, Value]) : [];
  const isSecond = y !== undefined && layoutOf(y.node) !== undefined && x!.node.op === "param";
  const product = isSecond ? y.node : (x?.node ?? node);
  const weight = product.operands[1];
  const lies = layoutOf(product);
  if (!lies || product.op !== "contract" || !isOwnParam(weight, cx)) return undefined;
  if (typeof product.operands[0]!.type.shape.at(-1) !== "number") return undefined;
  const out = weight.type.shape[lies === "out-in" ? 0 : 1] as number;
  const bias = isSecond ? x : y;
  const biased = bias && isOwnParam(bias, cx) && isLone(product.results[0]!, cx) && bias.type.shape.length === 1;
  if (bias && !(biased && bias.type.shape[0] === out)) return undefined;
  const weightName = cx.nameOf(weight.node);
  const biasName = bias && cx.nameOf(bias.node);
  const name = ends(weightName, ".weight") ?? (biasName && ends(biasName, ".bias")) ?? weightName;
  const said = options({
    name: named(name),
    bias: bias ? undefined : text("false"),
    weightLayout: lies === "out-in" ? undefined : text('"in-out"'),
    weightName: weightName === `${name}.weight` ? undefined : named(weightName),
    biasName: biasName === undefined || biasName === `${name}.bias` ? undefined : named(biasName),
  });
  const absorbed = [weight.node, ...(bias ? [bias.node, product] : [])];
  return { code: call("linear", ref(product.operands[0]!), size(out, "width"), ...said), absorbed };
};

/** Rows of a table of its own. */
const embedding: Recognise = (node, cx) => {
  if (node.op !== "gather") return undefined;
  const [table, ids] = node.operands as readonly [Value, Value];
  const { axis, batch } = attrsOf(node, "gather");
  if (axis !== 0 || batch !== 0 || !isOwnParam(table, cx) || table.type.shape.length !== 2) return undefined;
  const name = ends(cx.nameOf(table.node), ".weight");
  if (name === undefined) return undefined;
  const [vocab, width] = table.type.shape as readonly [number, number];
  const { dtype } = table.type;
  const said = options({ name: named(name), dtype: dtype === "f32" ? undefined : text(`"${dtype}"`) });
  return {
    code: call("embedding", ref(ids), size(vocab, "vocab"), size(width, "width"), ...said),
    absorbed: [table.node],
  };
};

/** Normalisation with a weight, and a bias, of its own. */
const norm: Recognise = (node, cx) => {
  if (node.op !== "layerNorm" && node.op !== "rmsNorm") return undefined;
  const [x, weight, bias] = node.operands as readonly [Value, Value, Value?];
  if (!isOwnParam(weight, cx) || (bias && !isOwnParam(bias, cx))) return undefined;
  const name = ends(cx.nameOf(weight.node), ".weight");
  if (name === undefined || (bias && cx.nameOf(bias.node) !== `${name}.bias`)) return undefined;
  const { epsilon } = attrsOf(node, node.op);
  const noBias = node.op === "layerNorm" && !bias ? text("false") : undefined;
  const said = options({ name: named(name), epsilon: epsilonCode(epsilon), bias: noBias });
  return { code: call(node.op, ref(x), ...said), absorbed: [weight.node, ...(bias ? [bias.node] : [])] };
};

const isHeadOrder = (node: Node): boolean =>
  node.op === "transpose" && String(node.attrs.get("perm")) === "0,2,1,3" && node.operands.length === 1;

/** [batch, seq, features] as [batch, n, seq, features / n]. */
const heads: Recognise = (node, cx) => {
  if (!isHeadOrder(node)) return undefined;
  const inner = node.operands[0]!;
  if (inner.node.op !== "reshape" || !isLone(inner, cx)) return undefined;
  const [x] = inner.node.operands as readonly [Value];
  const [batch, length, n, each] = inner.type.shape as readonly [Dim, Dim, Dim, Dim];
  const same = x.type.shape.length === 3 && x.type.shape[0] === batch && x.type.shape[1] === length;
  if (!same || typeof n !== "number" || n < 1 || divideExact(x.type.shape[2]!, n) !== each) return undefined;
  return { code: call("heads", ref(x), size(n, "heads")), absorbed: [inner.node] };
};

/** The inverse of `heads`. */
const merge: Recognise = (node, cx) => {
  if (node.op !== "reshape") return undefined;
  const inner = node.operands[0]!;
  if (!isHeadOrder(inner.node) || !isLone(inner, cx)) return undefined;
  const [batch, length, n, each] = inner.type.shape as readonly [Dim, Dim, Dim, Dim];
  const { shape } = node.results[0]!.type;
  const merged = shape.length === 3 && shape[0] === batch && shape[1] === length && shape[2] === mul(n, each);
  return merged ? { code: call("merge", ref(inner.node.operands[0]!)), absorbed: [inner.node] } : undefined;
};

/** A product of two matrices, or of a batch of them. */
const matmul: Recognise = (node) => {
  if (node.op !== "contract" || node.operands.length !== 2) return undefined;
  const [x, y] = node.operands as readonly [Value, Value];
  if (!isMatrixProduct(parseSpec(String(node.attrs.get("spec"))))) return undefined;
  const batch = [x, y].flatMap(({ type }) => type.shape.slice(0, -2));
  return batch.includes(1) ? undefined : { code: call("matmul", ref(x), ref(y)), absorbed: [] };
};

function isMatrixProduct({ operands: [x, y], result }: ContractionSpec): boolean {
  if (!x || !y || x.length < 2 || y.length < 2) return false;
  const [inner, m, n] = [x.at(-1)!, x.at(-2)!, y.at(-1)!];
  const [left, right] = [x.slice(0, -2), y.slice(0, -2)];
  const batch = left.length >= right.length ? left : right;
  const shorter = batch === left ? right : left;
  const aligned = shorter.every((label, i) => label === batch[batch.length - shorter.length + i]);
  const labels = [...batch, m, n, inner];
  const distinct = new Set(labels).size === labels.length;
  return aligned && distinct && y.at(-2) === inner && result.join(" ") === [...batch, m, n].join(" ");
}

/** x ≠ y. */
const notEqual: Recognise = (node, cx) => {
  const inner = node.op === "not" ? node.operands[0]! : undefined;
  if (inner?.node.op !== "equal" || !isLone(inner, cx)) return undefined;
  return { code: call("notEqual", ...withNumbers(inner.node.operands)), absorbed: [inner.node] };
};

const idioms: readonly Recognise[] = [linear, embedding, norm, heads, merge, matmul, notEqual];

/** The largest function of the DSL that ends in this node. */
export function recognise(node: Node, cx: IdiomContext): Idiom | undefined {
  for (const idiom of idioms) {
    const found = idiom(node, cx);
    if (found) return found;
  }
  return undefined;
}
