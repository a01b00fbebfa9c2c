import { type Arena, attrsOf, type Build } from "../../ir/arena.ts";
import { type ContractionSpec, showSpec, specOf } from "../../ir/contraction.ts";
import { add, type Dim } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { applied, index } from "../../ir/index-expr/types.ts";
import { axisFromFirst, sameShape } from "../../ir/types.ts";
import type { FuseContext, Fusion, Matcher } from "../rewrite/fuse.ts";
import type { Miss } from "../rewrite/match.ts";
import { scalarOf, truthOf } from "../rewrite/scalar.ts";
import { reshaped, transposed } from "./axes.ts";
import { buildAttention } from "./build.ts";
import { liftedMask } from "./lift.ts";
import { analyse, isMiss, probabilities } from "./match.ts";

/** What multiplies weights in a sum, or divides them. */
interface Factor {
  readonly value: Value;
  readonly divides: boolean;
}

/** Weights of an attention, in a sum, with what multiplies them there; undefined where an identity matrix stands for them. */
interface Term {
  readonly weights: Value | undefined;
  readonly factors: readonly Factor[];
  readonly negative: boolean;
}

interface Sum {
  readonly terms: readonly Term[];
  /** What is between the weights and the sum; what is made of identity matrices alone may be used elsewhere too. */
  readonly nodes: readonly Node[];
}

type IsWeights = (value: Value) => boolean;

/** How far below a product its weights are looked for: what is shared would be looked at again and again. */
const maxDepth = 12;

/** A value as a sum of weights times factors; undefined where it is something else. */
function sumOf(value: Value, place: InPlace | undefined, isWeights: IsWeights, depth = maxDepth): Sum | undefined {
  if (depth === 0) return undefined;
  if (isWeights(value)) return { terms: [{ weights: value, factors: [], negative: false }], nodes: [] };
  if (place && isIdentity(value, place))
    return { terms: [{ weights: undefined, factors: [], negative: false }], nodes: [] };
  const { node } = value;
  const [x, y] = node.operands;
  const partOf = (side: Value): Sum | undefined => {
    const part = sumOf(side, place, isWeights, depth - 1);
    const isWhole = sameShape(side.type.shape, value.type.shape);
    return isWhole || part?.terms.every(({ weights }) => !weights) ? part : undefined;
  };
  if (node.op === "add" || node.op === "sub") {
    const [first, second] = [x!, y!].map((side) => partOf(side));
    if (!first || !second) return undefined;
    const negated =
      node.op === "sub" ? second.terms.map((term) => ({ ...term, negative: !term.negative })) : second.terms;
    return { terms: [...first.terms, ...negated], nodes: [node, ...first.nodes, ...second.nodes] };
  }
  if (node.op !== "mul" && node.op !== "div") return undefined;
  const divides = node.op === "div";
  const sides = divides ? [[x!, y!] as const] : [[x!, y!] as const, [y!, x!] as const];
  for (const [kept, other] of sides) {
    const inner = partOf(kept);
    const factor = { value: other, divides };
    if (inner)
      return {
        terms: inner.terms.map((term) => ({ ...term, factors: [...term.factors, factor] })),
        nodes: inner.terms.some(({ weights }) => weights) ? [node, ...inner.nodes] : [],
      };
  }
  return undefined;
}

/** A product whose result has the axes of the weights in their order, with another in the place of the keys. */
interface InPlace {
  readonly key: number;
  readonly spec: ContractionSpec;
  /** What the axes of the weights are, and those of the values. */
  readonly labels: readonly string[];
  readonly values: readonly string[];
  readonly shape: readonly Dim[];
  /** From that result to the one asked for. */
  readonly perm: readonly number[];
}

function inPlaceOf(root: Node, at: number): InPlace | undefined {
  const { operands, result } = specOf(root);
  const labels = operands[at]!;
  const key = labels.findIndex((label) => !result.includes(label));
  const [width, ...more] = result.filter((label) => !labels.includes(label));
  if (key < 0 || width === undefined || more.length > 0 || labels.length !== result.length) return undefined;
  const ordered = labels.map((label, i) => (i === key ? width : label));
  return {
    ...{ key, labels, values: operands[1 - at]!, shape: root.operands[at]!.type.shape },
    ...{ spec: { operands, result: ordered }, perm: result.map((label) => ordered.indexOf(label)) },
  };
}

/** The axis only the weights have besides the keys, where there is one. */
function queriesOf({ labels, values, key }: InPlace): number | undefined {
  const [query, ...more] = labels.flatMap((label, axis) => (axis === key || values.includes(label) ? [] : [axis]));
  return more.length > 0 ? undefined : query;
}

const itself = new Set([applied("equal", index("q"), index("k")), applied("equal", index("k"), index("q"))]);

/** Whether a value is 1 where query and key are the same place, and else 0. */
function isIdentity(value: Value, place: InPlace): boolean {
  const query = queriesOf(place);
  const mask = truthOf(value);
  if (!mask || query === undefined || !isSquare(place)) return false;
  const last = place.labels.length - 1;
  const formula = liftedMask(mask, { query: last - query, key: last - place.key });
  return formula !== undefined && itself.has(formula);
}

/** The axes of the weights a factor varies along. */
const axesOf = ({ value: { type } }: Factor, rank: number): readonly number[] =>
  type.shape.flatMap((dim, i) => (dim === 1 ? [] : [rank - type.shape.length + i]));

/** Whether what multiplies weights can multiply their product with the values instead. */
function isOfRows(factor: Factor, rank: number, place: InPlace | undefined): boolean {
  const axes = axesOf(factor, rank);
  return axes.length === 0 ? factor.value.type.shape.length <= rank : place !== undefined && !axes.includes(place.key);
}

/** Whether there are as many queries as keys: then what is done to the values is no more than what is done to the weights. */
function isSquare(place: InPlace): boolean {
  const query = queriesOf(place);
  return query !== undefined && place.shape[query] === place.shape[place.key];
}

/** Whether it can multiply the values instead. */
function isOfKeys(factor: Factor, place: InPlace | undefined): boolean {
  if (!place || !isSquare(place)) return false;
  return axesOf(factor, place.labels.length).every((axis) => place.values.includes(place.labels[axis]!));
}

const times = (b: Build, x: Value, { value, divides }: Factor): Value => (divides ? b.div(x, value) : b.mul(x, value));

/** A factor of weights with the axes of the values. */
function alongValues(b: Build, { value, divides }: Factor, { labels, values }: InPlace): Factor {
  const { shape } = value.type;
  const sizes = new Map(labels.map((label, axis) => [label, shape[axis - (labels.length - shape.length)] ?? 1]));
  const kept = labels.filter((label) => values.includes(label));
  const apart = reshaped(
    b,
    value,
    kept.map((label) => sizes.get(label)!),
  );
  const order = values.flatMap((label) => (kept.includes(label) ? [kept.indexOf(label)] : []));
  const turned = transposed(b, apart, order);
  return {
    divides,
    value: reshaped(
      b,
      turned,
      values.map((label) => sizes.get(label) ?? 1),
    ),
  };
}

/** The product of an identity matrix and the values, in the order of the weights. */
function inRows(b: Build, values: Value, place: InPlace): Value {
  const query = queriesOf(place)!;
  const order = place.spec.result.map((label, axis) =>
    place.values.indexOf(axis === query ? place.labels[place.key]! : label),
  );
  return transposed(b, values, order);
}

/** What keeps a product from being an attention. */
export function problemOf(product: Node, at: number, arena: Arena): Miss | undefined {
  const candidate = analyse(product, at, arena.build);
  const attended = isMiss(candidate) ? candidate : buildAttention(candidate, arena, false);
  return isMiss(attended) ? attended : undefined;
}

/** Whether a value is the weights of an attention; what is made 0 in them by another mask than theirs is a factor. */
function isWeights(value: Value, root: Node, at: number, arena: Arena): boolean {
  const found = probabilities(value, arena.build);
  if (!found?.clearing || value.node.op !== "mul") return found !== undefined;
  const operands = root.operands.map((operand, i) => (i === at ? value : operand));
  const product = arena.build.contract(...operands, { spec: root.attrs.get("spec") as string });
  return problemOf(product.node, at, arena) === undefined;
}

/** What a product of weights that are put together is, in the place of `above`. */
function combined(root: Node, above: readonly Node[], cx: FuseContext): Fusion | Miss | undefined {
  const b = cx.arena.build;
  if (root.operands.length !== 2) return undefined;
  const [at, place, sum] = root.operands.flatMap((operand, i) => {
    const placed = inPlaceOf(root, i);
    const found = sumOf(operand, placed, (value) => isWeights(value, root, i, cx.arena));
    const isTogether = found && (found.nodes.length > 0 || above.length > 1);
    return isTogether && found.terms.some(({ weights }) => weights) ? [[i, placed, found] as const] : [];
  })[0] ?? [0];
  if (!sum) return undefined;
  const { length } = root.operands[at]!.type.shape;
  const factors = sum.terms.flatMap((term) => term.factors);
  if (!factors.every((factor) => isOfRows(factor, length, place) || isOfKeys(factor, place))) return undefined;
  const spec = showSpec(place?.spec ?? specOf(root));
  const products = sum.terms.map((term) => {
    const ofKeys = term.factors.filter((factor) => !isOfRows(factor, length, place));
    const values = ofKeys.reduce((x, factor) => times(b, x, alongValues(b, factor, place!)), root.operands[1 - at]!);
    const pair = [term.weights!, values];
    return term.weights ? b.contract(...(at === 0 ? pair : pair.reverse()), { spec }) : inRows(b, values, place!);
  });
  // Where one stays as it is written, there would only be more products.
  for (const [i, { weights }] of sum.terms.entries()) {
    const problem = weights && problemOf(products[i]!.node, at, cx.arena);
    if (problem) return problem;
  }
  const covered = [...above, ...sum.nodes];
  const shared = cx.exclusive([...covered, ...sum.terms.flatMap(({ weights }) => weights?.node ?? [])]);
  if (shared) return { depth: covered.length, ...shared };
  const added = sum.terms.reduce<Value | undefined>((total, term, i) => {
    const ofRows = term.factors.filter((factor) => isOfRows(factor, length, place));
    const product = ofRows.reduce((x, factor) => times(b, x, factor), products[i]!);
    if (!total) return term.negative ? b.neg(product) : product;
    return term.negative ? b.sub(total, product) : b.add(total, product);
  }, undefined);
  return { values: [place ? transposed(b, added!, place.perm) : added!], covered };
}

/**
 * Weights that are put together before they meet the values, as in differential attention (arXiv:2410.05258), eq. 1, or
 * multiplied by what is the same for all keys, as where heads are masked, or for all queries, as where keys are.
 */
export const combinedWeights: Matcher = {
  name: "combined-weights",
  formula:
    "contract(f p + g r, v) = f contract(p, v) + contract(r, g v) where p and r are the weights of attentions or 1, f the same for all keys, g for all queries",
  roots: ["contract"],
  refuses: [],
  match: (root, cx) => combined(root, [root], cx),
};

/** The sum over the keys that weights are divided by, with what is added to it. */
interface Divisor {
  readonly node: Node;
  readonly added: Value | undefined;
}

function divisorOf(weights: Value, { node }: Value, key: number): Divisor | undefined {
  const terms = node.op === "add" ? node.operands : [node.results[0]!];
  const sum = terms.find(({ node: term }) => term.op === "reduceSum" && term.operands[0] === weights);
  const added = terms.find((term) => term !== sum);
  if (!sum || (added && scalarOf(added) === undefined)) return undefined;
  const { axes, keepDims } = attrsOf(sum.node, "reduceSum");
  const rank = weights.type.shape.length;
  return axes.length === 1 && axisFromFirst(axes[0]!, rank) === key && keepDims ? { node: sum.node, added } : undefined;
}

/** Weights that are put together, over their sum: that is what they make of a value of 1 for each key, beside the others. */
export const dividedWeights: Matcher = {
  name: "divided-weights",
  formula: "contract(y / (Σ y + c), v) = contract(y, v) / (contract(y, 1) + c) where y are weights put together",
  roots: ["contract"],
  refuses: [],
  match(root, cx) {
    const b = cx.arena.build;
    const at = root.operands.findIndex(({ node }) => node.op === "div");
    const [place, { node }] = [at < 0 ? undefined : inPlaceOf(root, at), root.operands[at] ?? root.results[0]!];
    const [weights, below] = node.operands as [Value, Value];
    const divisor = place && divisorOf(weights, below, place.key);
    if (!divisor || !isSquare(place) || root.operands.length !== 2) return undefined;
    const values = root.operands[1 - at]!;
    const axis = place.values.findIndex((label) => !place.labels.includes(label));
    const one = b.scalar(1, values.type.dtype);
    const ones = b.broadcast(one, { shape: values.type.shape.map((dim, i) => (i === axis ? 1 : dim)) });
    const pair = [weights, b.concat(values, ones, { axis })];
    const whole = b.contract(...(at === 0 ? pair : pair.reverse()), { spec: root.attrs.get("spec") as string });
    const made = combined(whole.node, [root, node, below.node, divisor.node], cx);
    if (!made || "reason" in made) return made;
    const [out] = made.values as [Value];
    const width = specOf(root).result.indexOf(place.values[axis]!);
    const size = values.type.shape[axis]!;
    const sum = b.slice(out, { axis: width, start: size, end: add(size, 1) });
    const above = b.slice(out, { axis: width, start: 0, end: size });
    const quotient = b.div(above, divisor.added ? b.add(sum, divisor.added) : sum);
    return { values: [quotient], covered: made.covered };
  },
};
