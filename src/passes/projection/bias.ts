import type { Build } from "../../ir/arena.ts";
import { divideExact, mul } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { hasFormulas } from "../../ir/ops/attention.ts";
import { isFoldable } from "../rewrite/foldable.ts";
import type { FuseContext, Matcher } from "../rewrite/fuse.ts";
import type { Miss } from "../rewrite/match.ts";
import { linearOf } from "./linear.ts";

const reused = "the sum with the bias is also used elsewhere";
const notSoft = "without softmax the weights do not sum to one";
const formulas = "a formula changes its weights, or empties rows";
const masked = "a row the mask empties is zero, whatever the bias";
const lengths = "queries and keys differ in length: there may be no key";

const refuse = (at: Value, reason: string): Miss => ({ depth: 2, reason, at });

/** `y + bias`, the bias one number for each element of the last axis and known ahead; undefined otherwise. */
function biasedLast({ node, type }: Value): { readonly plain: Value; readonly bias: Value } | undefined {
  if (node.op !== "add") return undefined;
  const at = node.operands.findIndex(
    (side) => isFoldable(side) && side.type.shape.length === 1 && side.type.shape[0] === type.shape.at(-1),
  );
  const plain = node.operands[1 - at];
  return at < 0 || !plain || isFoldable(plain) ? undefined : { plain, bias: node.operands[at]! };
}

const usedOnce = (value: Value, { uses }: FuseContext): boolean =>
  (uses.users.get(value)?.length ?? 0) === 1 && !uses.outputs.has(value);

/** The node again with one operand exchanged, under its old name. */
function withOperand(node: Node, at: number, value: Value, { arena }: FuseContext): Value {
  const operands = node.operands.map((operand, i) => (i === at ? value : operand));
  const result = arena.rebuild(node, operands).results[0]!;
  arena.inherit(node.results[0]!, result);
  return result;
}

/**
 * q · (k + b) = q · k + q · b: the second term is one number for all keys of a query, and softmax does not see what is
 * added to all its inputs alike.
 */
export const keyBiasUnseen: Matcher = {
  name: "key-bias-unseen",
  formula: "packedAttention(q, k + bias, v) = packedAttention(q, k, v)",
  roots: ["packedAttention"],
  refuses: [reused, notSoft, formulas],
  match(root, cx) {
    const [, k] = root.operands;
    const biased = biasedLast(k!);
    if (!biased) return undefined;
    if (root.attrs.get("normaliser") !== "softmax") return refuse(k!, notSoft);
    if (hasFormulas(root)) return refuse(k!, formulas);
    if (!usedOnce(k!, cx)) return refuse(k!, reused);
    return { values: [withOperand(root, 1, biased.plain, cx)], covered: [root] };
  },
};

/** The bias of the values once for each query head: heads of a group share theirs. */
function biasPerHead(b: Build, bias: Value, attention: Node): Value {
  const heads = attention.attrs.get("heads") as number;
  const kvHeads = attention.attrs.get("kvHeads") as number;
  if (heads === kvHeads) return bias;
  const width = divideExact(bias.type.shape[0]!, kvHeads)!;
  const grouped = b.broadcast(b.reshape(bias, { shape: [kvHeads, 1, width] }), {
    shape: [kvHeads, heads / kvHeads, width],
  });
  return b.reshape(grouped, { shape: [mul(heads, width)] });
}

/**
 * The weights of a query sum to one, so a bias on the values is a bias on the result, and through the projection that
 * follows a bias on that: (attention(q, k, v + c)) · W + d = attention(q, k, v) · W + (c · W + d).
 */
export const valueBiasThrough: Matcher = {
  name: "value-bias-through",
  formula: "packedAttention(q, k, v + c) · W + d = packedAttention(q, k, v) · W + (c · W + d)",
  roots: ["add"],
  refuses: [reused, notSoft, formulas, masked, lengths],
  match(root, cx) {
    const outer = biasedLast(root.results[0]!);
    const projection = outer && linearOf(outer.plain.node);
    const attention = projection?.x.node;
    const v = attention?.op === "packedAttention" ? attention.operands[2]! : undefined;
    const inner = v && biasedLast(v);
    if (!outer || !projection || !attention || !inner) return undefined;
    const { x, xLabels, weightLabels, result, weight } = projection;
    // Only a projection of the last axis to a last axis: what `linear` makes.
    const [label, out] = [xLabels.at(-1)!, result.at(-1)!];
    if (weightLabels.length !== 2 || !weightLabels.includes(label) || !weightLabels.includes(out)) return undefined;
    if (attention.attrs.get("normaliser") !== "softmax") return refuse(v, notSoft);
    if (hasFormulas(attention)) return refuse(v, formulas);
    if (attention.operands.slice(3).some(({ type }) => type.dtype === "bool")) return refuse(v, masked);
    if (attention.operands[0]!.type.shape[1] !== v.type.shape[1]) return refuse(v, lengths);
    if (![v, x, outer.plain].every((value) => usedOnce(value, cx))) return refuse(v, reused);
    const b = cx.arena.build;
    const projected = b.contract(biasPerHead(b, inner.bias, attention), weight, {
      spec: `${label}, ${weightLabels.join(" ")} -> ${out}`,
    });
    const plain = withOperand(projection.node, 1 - projection.at, withOperand(attention, 2, inner.plain, cx), cx);
    return { values: [b.add(plain, b.add(projected, outer.bias))], covered: [root, outer.plain.node, attention] };
  },
};
