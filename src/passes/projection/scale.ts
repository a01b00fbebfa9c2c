import type { Build } from "../../ir/arena.ts";
import { showSpec } from "../../ir/contraction.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { sameShape } from "../../ir/types.ts";
import { isFoldable } from "../rewrite/foldable.ts";
import type { FuseContext, Matcher } from "../rewrite/fuse.ts";
import type { Miss } from "../rewrite/match.ts";
import { biasedOf, type Linear } from "./linear.ts";

const reused = "the weight is also used elsewhere";
const otherAxes = "the factor runs along an axis the weight has not";
const widens = "the factor widens the product";

const refuse = (at: Value, reason: string): Miss => ({ depth: 3, reason, at });

/** How often a weight is needed. A weight that is scaled for one use would be stored twice for two. */
const isReused = (weight: Value, { uses }: FuseContext): boolean =>
  (uses.users.get(weight)?.length ?? 0) > 1 || uses.outputs.has(weight);

/** The factor with one axis for each label of the weight; undefined where it needs labels the weight has not. */
function alongWeight(b: Build, factor: Value, linear: Linear): Value | undefined {
  const { result, weightLabels } = linear;
  const missing = result.length - factor.type.shape.length;
  const long = new Map<string, number>();
  factor.type.shape.forEach((dim, axis) => {
    if (dim !== 1) long.set(result[axis + missing]!, axis);
  });
  if (![...long.keys()].every((label) => weightLabels.includes(label))) return undefined;
  const order = weightLabels.filter((label) => long.has(label));
  const squeezed = b.reshape(factor, { shape: factor.type.shape.filter((dim) => dim !== 1) });
  const axes = [...long.keys()];
  const moved =
    order.length > 1 ? b.transpose(squeezed, { perm: order.map((label) => axes.indexOf(label)) }) : squeezed;
  const shape = weightLabels.map((label) => (long.has(label) ? factor.type.shape[long.get(label)!]! : 1));
  return b.reshape(moved, { shape });
}

/** (x · W + b) · s = x · (W · s) + b · s: the weights are multiplied once, ahead of time. */
export const scaleIntoWeights: Matcher = {
  name: "scale-into-weights",
  formula: "(contract(x, W) + bias) · s = contract(x, W · s) + bias · s, s known ahead",
  roots: ["mul"],
  refuses: [reused, otherAxes, widens, "`contract` is also used outside the pattern"],
  match(root, cx) {
    for (const [i, factor] of root.operands.entries()) {
      const biased = isFoldable(factor) ? biasedOf(root.operands[1 - i]!) : undefined;
      if (biased) return fold(root, root.operands[1 - i]!, factor, biased, cx);
    }
    return undefined;
  },
};

function fold(
  root: Node,
  product: Value,
  factor: Value,
  { linear, bias }: { readonly linear: Linear; readonly bias?: Value },
  cx: FuseContext,
) {
  const at = root.results[0]!;
  if (!sameShape(product.type.shape, at.type.shape)) return refuse(at, widens);
  const covered = bias ? [root, product.node, linear.node] : [root, linear.node];
  const shared = cx.exclusive(covered);
  if (shared) return { depth: 3, ...shared };
  if (isReused(linear.weight, cx)) return refuse(at, reused);
  const b = cx.arena.build;
  const along = alongWeight(b, factor, linear);
  if (!along) return refuse(at, otherAxes);
  const weight = b.mul(linear.weight, along);
  const operands = linear.at === 0 ? [weight, linear.x] : [linear.x, weight];
  const labels = linear.at === 0 ? [linear.weightLabels, linear.xLabels] : [linear.xLabels, linear.weightLabels];
  const scaled = b.contract(...operands, { spec: showSpec({ operands: labels, result: linear.result }) });
  return { values: [bias ? b.add(scaled, b.mul(bias, factor)) : scaled], covered };
}
