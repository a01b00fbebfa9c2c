import type { Build } from "../../ir/arena.ts";
import { type ContractionSpec, showSpec, specOf } from "../../ir/contraction.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { sameShape } from "../../ir/types.ts";
import type { Matcher } from "../rewrite/fuse.ts";
import { transposed } from "./axes.ts";
import { buildAttention } from "./build.ts";
import { analyse, isMiss, probabilities } from "./match.ts";

/** Weights of an attention, in a sum, with what multiplies them there. */
interface Term {
  readonly weights: Value;
  readonly factors: readonly Value[];
  readonly negative: boolean;
}

interface Sum {
  readonly terms: readonly Term[];
  /** What is between the terms and the sum. */
  readonly nodes: readonly Node[];
}

/** A value as a sum of weights times factors; undefined where it is something else. */
function sumOf(value: Value, b: Build): Sum | undefined {
  if (probabilities(value, b)) return { terms: [{ weights: value, factors: [], negative: false }], nodes: [] };
  const { node } = value;
  const [x, y] = node.operands;
  if (node.op === "add" || node.op === "sub") {
    const [first, second] = [x!, y!].map((side) =>
      sameShape(side.type.shape, value.type.shape) ? sumOf(side, b) : undefined,
    );
    if (!first || !second) return undefined;
    const negated =
      node.op === "sub" ? second.terms.map((term) => ({ ...term, negative: !term.negative })) : second.terms;
    return { terms: [...first.terms, ...negated], nodes: [node, ...first.nodes, ...second.nodes] };
  }
  if (node.op !== "mul") return undefined;
  for (const [kept, factor] of [[x!, y!] as const, [y!, x!] as const]) {
    const inner = sameShape(kept.type.shape, value.type.shape) ? sumOf(kept, b) : undefined;
    if (inner)
      return {
        terms: inner.terms.map((term) => ({ ...term, factors: [...term.factors, factor] })),
        nodes: [node, ...inner.nodes],
      };
  }
  return undefined;
}

/** A product whose result has the axes of the weights in their order, with another in the place of the keys. */
interface InPlace {
  readonly key: number;
  readonly spec: ContractionSpec;
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
  return { key, spec: { operands, result: ordered }, perm: result.map((label) => ordered.indexOf(label)) };
}

/** Whether what multiplies weights can multiply their product with the values instead. */
function isOfRows({ type }: Value, rank: number, key: number | undefined): boolean {
  const { shape } = type;
  if (shape.every((dim) => dim === 1)) return shape.length <= rank;
  return key !== undefined && (shape[key - (rank - shape.length)] ?? 1) === 1;
}

/**
 * Weights that are put together before they meet the values, as in differential attention (arXiv:2410.05258), eq. 1, or
 * multiplied by what is the same for all keys, as where heads are masked.
 */
export const combinedWeights: Matcher = {
  name: "combined-weights",
  formula:
    "contract(f p + g r, v) = f contract(p, v) + g contract(r, v) where p and r are the weights of attentions, f and g the same for all keys",
  roots: ["contract"],
  refuses: [],
  match(root, cx) {
    const b = cx.arena.build;
    const [at, sum] = root.operands.flatMap((operand, i) => {
      const found = sumOf(operand, b);
      return found && found.nodes.length > 0 ? [[i, found] as const] : [];
    })[0] ?? [0, undefined];
    if (!sum || root.operands.length !== 2) return undefined;
    const rank = root.operands[at]!.type.shape.length;
    const inPlace = inPlaceOf(root, at);
    if (!sum.terms.every(({ factors }) => factors.every((factor) => isOfRows(factor, rank, inPlace?.key))))
      return undefined;
    const spec = showSpec(inPlace?.spec ?? specOf(root));
    const products = sum.terms.map(({ weights }) => {
      const operands = [...root.operands];
      operands[at] = weights;
      return b.contract(...operands, { spec });
    });
    // Where one stays as it is written, there would only be more products.
    for (const { node } of products) {
      const candidate = analyse(node, at, b);
      const attended = isMiss(candidate) ? candidate : buildAttention(candidate, cx.arena, false);
      if (isMiss(attended)) return attended;
    }
    const covered = [root, ...sum.nodes];
    const shared = cx.exclusive([...covered, ...sum.terms.map(({ weights }) => weights.node)]);
    if (shared) return { depth: covered.length, ...shared };
    const added = sum.terms.reduce<Value | undefined>((total, { factors, negative }, i) => {
      const product = factors.reduce((x, factor) => b.mul(x, factor), products[i]!);
      if (!total) return negative ? b.neg(product) : product;
      return negative ? b.sub(total, product) : b.add(total, product);
    }, undefined);
    return { values: [inPlace ? transposed(b, added!, inPlace.perm) : added!], covered };
  },
};
