import { attrsOf, type Build } from "../../ir/arena.ts";
import { everything, lowerOn, wide } from "../../ir/attend.ts";
import type { DType } from "../../ir/dtype.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { addedTo } from "../../ir/index-expr/added.ts";
import { constant } from "../../ir/index-expr/types.ts";
import { attentionExtras, hasFormulas, scoreProgram } from "../../ir/ops/attention.ts";
import { denseTime } from "./estimate.ts";
import type { Form } from "./form.ts";
import type { MaskProblem } from "./problem.ts";

/** All pairs at once: kernels of attention where the formulas amount to a mask and a bias, else plain ops. */
export const dense: Form = {
  name: "mask-dense",
  formula: "attention = all queries × all keys, the mask and what the score function adds as tensors",
  refuses: [],
  plan: (problem, { target }) => ({
    time: (numbers) => denseTime(problem, numbers, target),
    build: () => denseAttention(problem),
  }),
};

const narrowed = (b: Build, x: Value, to: DType) => (x.type.dtype === to ? x : b.cast(x, { to }));

/** The queries scaled in the place of the scores, of which there are more. */
function scaledAhead(node: Node, b: Build): Value {
  const { scale, ...attrs } = attrsOf(node, "attention");
  if (scale === 1) return node.results[0]!;
  const [q, ...others] = node.operands as [Value, ...Value[]];
  return b.attention(b.mul(q, b.scalar(scale, q.type.dtype)), ...(others as [Value, Value]), { ...attrs, scale: 1 });
}

function denseAttention({ node, b, isPlain, q, k, v }: MaskProblem): Value {
  const attrs = attrsOf(node, "attention");
  if (!isPlain) return scaledAhead(node, b);
  if (!hasFormulas(node)) return node.results[0]!;
  const operands = attentionExtras(node.operands.slice(3), attrs.tables);
  const program = scoreProgram(node.operands as [Value, Value, Value], attrs);
  const lowered = attrs.mask === everything ? undefined : lowerOn(b, program, attrs.mask, "f64");
  const mask = lowered && operands.mask ? b.and(lowered, operands.mask) : (lowered ?? operands.mask);
  const added = addedTo(attrs.score)!;
  const { dtype } = q.type;
  const own = added === constant(0) ? undefined : narrowed(b, lowerOn(b, program, added, wide(dtype)), dtype);
  const bias = own && operands.bias ? b.add(own, operands.bias) : (own ?? operands.bias);
  const extras = [mask, bias].filter((value) => value !== undefined);
  const { scale, causal } = attrs;
  return b.attention(q, k, v, ...extras, { scale, causal });
}
