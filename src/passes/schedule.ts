import { evaluate, symbolsOf } from "../ir/dim.ts";
import type { Node, Value } from "../ir/graph.ts";
import { sameShape, volume } from "../ir/types.ts";
import type { Pass } from "./pass.ts";
import { biasedOf, type Linear, linearOf } from "./projection/linear.ts";
import { type FuseContext, fuse, type Matcher } from "./rewrite/fuse.ts";

const activations: ReadonlySet<string> = new Set(["relu", "gelu", "silu"]);
/** Narrower parts than this leave the products too little to do at a time. */
const leastWidth = 128;

/** x · W₁ + b₁, an activation, then · W₂. */
interface FeedForward {
  readonly first: Linear;
  readonly bias: Value | undefined;
  readonly inner: Value;
  readonly hidden: Value;
  readonly second: Linear;
  readonly width: number;
}

/** Whether a projection takes the last axis of its input to the last axis of its result: what `linear` makes. */
const isPlain = ({ weightLabels, xLabels, result }: Linear): boolean =>
  weightLabels.length === 2 && weightLabels.includes(xLabels.at(-1)!) && weightLabels.includes(result.at(-1)!);

function feedForwardOf(root: Node): FeedForward | undefined {
  const second = linearOf(root);
  const act = second?.x.node;
  const inner = act && activations.has(act.op) ? act.operands[0]! : undefined;
  const biased = inner && biasedOf(inner);
  if (!second || !biased || !isPlain(second) || !isPlain(biased.linear)) return undefined;
  const width = second.x.type.shape.at(-1);
  const { linear: first, bias } = biased;
  if (typeof width !== "number" || (bias && !sameShape(bias.type.shape, [width]))) return undefined;
  return { first, bias, inner, hidden: second.x, second, width };
}

/** How many parts bring the hidden layer below the limit; undefined where the lengths are unknown. */
function partsFor({ hidden, width }: FeedForward, { dims, target }: FuseContext): number | undefined {
  const symbols = hidden.type.shape.flatMap(symbolsOf);
  if (!symbols.every((name) => dims.has(name))) return undefined;
  const elements = evaluate(volume(hidden.type), dims);
  let parts = 1;
  while (
    elements / parts > target.choices.cutHiddenFrom &&
    (width / parts) % 2 === 0 &&
    width / parts / 2 >= leastWidth
  )
    parts *= 2;
  return parts;
}

/**
 * f(x · W₁ + b₁) · W₂ = Σⱼ f(x · W₁ⱼ + b₁ⱼ) · W₂ⱼ, j over parts of the hidden layer, which is then held one part at a
 * time. Which lengths pay is known only where lengths are given; the result is right for all of them.
 */
export const cutHidden: Matcher = {
  name: "cut-hidden",
  formula: "f(x · W + b) · V = Σⱼ f(x · Wⱼ + bⱼ) · Vⱼ",
  roots: ["contract"],
  refuses: [],
  match(root, cx) {
    const found = feedForwardOf(root);
    const parts = found ? partsFor(found, cx) : undefined;
    if (!found || parts === undefined || parts === 1) return undefined;
    const { first, bias, inner, hidden, second, width } = found;
    const covered = [root, hidden.node, inner.node, first.node];
    const shared = cx.exclusive(covered);
    if (shared) return { depth: 4, ...shared };
    const b = cx.arena.build;
    const step = width / parts;
    const cut = (value: Value, axis: number, part: number) =>
      b.slice(value, { axis, start: part * step, end: (part + 1) * step });
    const weighted = (linear: Linear, x: Value, weight: Value) =>
      cx.arena.rebuild(linear.node, linear.at === 0 ? [weight, x] : [x, weight]).results[0]!;
    const partial = (part: number) => {
      const product = weighted(
        first,
        first.x,
        cut(first.weight, first.weightLabels.indexOf(first.result.at(-1)!), part),
      );
      const sum = bias ? b.add(product, cut(bias, 0, part)) : product;
      const act = cx.arena.rebuild(hidden.node, [sum]).results[0]!;
      return weighted(second, act, cut(second.weight, second.weightLabels.indexOf(second.xLabels.at(-1)!), part));
    };
    let total = partial(0);
    for (let part = 1; part < parts; part++) total = b.add(total, partial(part));
    return { values: [total], covered };
  },
};

/** Needs and leaves a canonical graph. */
export const schedule: Pass = {
  name: "schedule",
  doc: "Wide hidden layers are computed in parts where holding them whole would take most of the memory.",
  run: (graph, cx) => fuse(graph, [cutHidden], cx),
};
