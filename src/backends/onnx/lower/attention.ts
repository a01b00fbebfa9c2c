import type { Attrs } from "../../../ir/attrs.ts";
import { type Dim, divideExact, evaluateKnown, isStatic } from "../../../ir/dim.ts";
import { type attention, attentionExtras } from "../../../ir/ops/attention.ts";
import { type AttentionCase, type AttentionForm, formsByLength } from "./attention-choice.ts";
import { additiveMask, forms, type Problem, standardWithWeights } from "./attention-forms.ts";
import type { LowerContext, Lowered, Lowerings } from "./lowering.ts";
import type { Ref } from "./ref.ts";

function attentionOf({ e, node, operands, attrs, type }: LowerContext<"attention">): Lowered {
  const [q, k, v] = operands as [Ref, Ref, Ref];
  const [batch, heads, queries, width] = q.type.shape as [Dim, Dim, Dim, Dim];
  const [, kvHeads, keys] = k.type.shape as [Dim, Dim, Dim, Dim];
  const sizes = { batch, heads, kvHeads, queries, keys, width, valueWidth: v.type.shape[3]! };
  return write(
    { e, q, k, v, packed: false, ...sizes, extras: attentionExtras(node.operands.slice(3)), type, ...attrs },
    attrs,
  );
}

/** The standard kernel answers the scores after the softmax where it is asked for them. */
function weighing({ e, node, operands, attrs, type }: LowerContext<"attentionWithWeights">): Lowered {
  const [q, k, v] = operands as [Ref, Ref, Ref];
  const [batch, heads, queries, width] = q.type.shape as [Dim, Dim, Dim, Dim];
  const [, kvHeads, keys] = k.type.shape as [Dim, Dim, Dim, Dim];
  const sizes = { batch, heads, kvHeads, queries, keys, width, valueWidth: v.type.shape[3]! };
  const extras = attentionExtras(node.operands.slice(3));
  const problem = { e, q, k, v, packed: false, ...sizes, extras, type, ...attrs };
  if (!e.target.contrib || type.dtype !== "f32" || isEmpty(problem) || !forms.standard.fits(problem)) return undefined;
  if (!isOpenAlone(problem)) return undefined;
  return standardWithWeights(scaled(problem), node.results[1]!.type);
}

/**
 * Whether no other weights in the model have another open number of keys. ONNX's shape inference takes both numbers for 0, and
 * ONNX Runtime keeps the one in the memory of the other, as if they were equal.
 */
function isOpenAlone({ e, k, keys }: Problem): boolean {
  return isStatic(keys) || e.once("weights of an open number of keys", () => k).type.shape[2] === keys;
}

const isEmpty = ({ queries, keys, batch }: Problem): boolean => queries === 0 || keys === 0 || batch === 0;

function packedOf({ e, node, operands, attrs, type }: LowerContext<"packedAttention">): Lowered {
  const [q, k, v] = operands as [Ref, Ref, Ref];
  const [batch, queries, total] = q.type.shape as [Dim, Dim, Dim];
  const { heads, kvHeads } = attrs;
  const sizes = {
    ...{ batch, heads, kvHeads, queries, keys: k.type.shape[1]! },
    width: divideExact(total, heads)!,
    valueWidth: divideExact(v.type.shape[2]!, kvHeads)!,
  };
  return write(
    { e, q, k, v, packed: true, ...sizes, extras: attentionExtras(node.operands.slice(3)), type, ...attrs },
    attrs,
  );
}

/** The best form that can express the problem; undefined, and so plain operators, where none can. */
function write(given: Problem, { normaliser }: Pick<Attrs<typeof attention.attention.attrs>, "normaliser">): Lowered {
  const { e, keys, type } = given;
  if (!e.target.contrib || type.dtype !== "f32" || normaliser !== "softmax" || isEmpty(given)) return undefined;
  const usable = (form: AttentionForm) => forms[form].fits(given);
  const wished = e.target.attention;
  if (wished && usable(wished)) return forms[wished].write(scaled(given));
  const { flashFrom } = e.target.choices ?? {};
  const rows = formsByLength(caseOf(given), given.packed, given.width, flashFrom).filter(([, form]) => usable(form));
  if (rows.length === 0) return undefined;
  const length = evaluateKnown(keys, e.dims);
  const range = length === undefined ? e.rangeOf(keys) : { from: length, to: length };
  const best = rows.findLast(([from]) => from <= range.from) ?? rows[0]!;
  const next = rows[rows.indexOf(best) + 1];
  if (!next || range.to < next[0]) return forms[best[1]].write(scaled(given));
  return dispatched(scaled(given), best[1], next);
}

function caseOf({ causal, extras }: Problem): AttentionCase {
  const masked = extras.mask !== undefined || extras.bias !== undefined;
  if (causal) return masked ? "causalMasked" : "causal";
  return masked ? "masked" : "full";
}

/** Kernels multiply q and k by √scale each, so a factor that is not positive goes to q beforehand. */
function scaled(problem: Problem): Problem {
  const { e, q, scale } = problem;
  if (scale > 0) return problem;
  return { ...problem, scale: 1, q: e.op(q.type, "Mul", [q, e.scalar(q.type.dtype, scale)]) };
}

/** The short form below the length, the long one from it on, decided when the model runs. */
function dispatched(problem: Problem, short: AttentionForm, [from, long]: readonly [number, AttentionForm]): Ref {
  const { e, extras, keys, type } = problem;
  const b = e.arena.build;
  const isShort = b.less(b.size({ of: keys }), b.scalar(from, "i64"));
  e.lower([isShort]);
  // Outside of the branches, so that layers share it.
  if (extras.mask || extras.bias) additiveMask(problem, false);
  const branch = (form: AttentionForm) => e.branchOf(form, () => [forms[form].write(problem)]);
  return e.branch([type], e.ref(isShort), branch(short), branch(long))[0]!;
}

export const attentionLowerings: Lowerings<keyof typeof attention> = {
  attention: attentionOf,
  attentionWithWeights: weighing,
  packedAttention: packedOf,
};
