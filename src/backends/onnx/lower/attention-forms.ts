import type { Build } from "../../../ir/arena.ts";
import { causalMask, lowest } from "../../../ir/attend.ts";
import { type Dim, mul, sub } from "../../../ir/dim.ts";
import type { Value } from "../../../ir/graph.ts";
import type { attentionExtras } from "../../../ir/ops/attention.ts";
import { fromNumbers } from "../../../ir/tensor.ts";
import { broadcastShapes, sameShape } from "../../../ir/types.ts";
import { type AttentionForm, causalMaskLengths } from "./attention-choice.ts";
import { contribDomain, type Emitter } from "./emitter.ts";
import { float, int, type Ref } from "./ref.ts";
import { reshape, transpose } from "./shape.ts";

type Extras = Pick<ReturnType<typeof attentionExtras>, "mask" | "bias">;

/** One attention, its operands as given: `packed` is [batch, length, heads·width], otherwise [batch, heads, length, width]. */
export interface Problem {
  readonly e: Emitter;
  readonly q: Ref;
  readonly k: Ref;
  readonly v: Ref;
  readonly packed: boolean;
  readonly batch: Dim;
  readonly heads: Dim;
  readonly kvHeads: Dim;
  readonly queries: Dim;
  readonly keys: Dim;
  readonly width: Dim;
  readonly valueWidth: Dim;
  readonly scale: number;
  readonly causal: boolean;
  readonly extras: Extras;
  readonly type: Ref["type"];
}

interface Form {
  /** Whether the kernel can express the problem. */
  fits(problem: Problem): boolean;
  write(problem: Problem): Ref;
}

/** Heads as the kernels take them: integers. */
const counted = ({ heads, kvHeads }: Problem) => typeof heads === "number" && typeof kvHeads === "number";

export const forms: Readonly<Record<AttentionForm, Form>> = {
  standard: { fits: ({ e }) => e.target.opset >= 23, write: standard },
  multiHead: {
    fits: (problem) =>
      counted(problem) &&
      problem.heads === problem.kvHeads &&
      !problem.causal &&
      problem.extras.mask === undefined &&
      problem.extras.bias === undefined,
    write: multiHead,
  },
  grouped: {
    // One length, one width in eights, and a mask that is the same for all heads.
    fits: (problem) =>
      counted(problem) &&
      problem.causal &&
      problem.queries === problem.keys &&
      problem.width === problem.valueWidth &&
      typeof problem.width === "number" &&
      problem.width % 8 === 0 &&
      (problem.extras.mask === undefined || problem.extras.mask.type.shape[1] === 1),
    write: grouped,
  },
};

/** Rows that see no key come out as zeros; the mask must have all queries and keys. */
function standard(problem: Problem): Ref {
  const { e, type, q, k, v } = problem;
  const { mask, attributes } = standardCall(problem);
  return e.op(type, "Attention", [q, k, v, mask], attributes);
}

/** The same with its weights: the scores as they are after the softmax. */
export function standardWithWeights(problem: Problem, weights: Ref["type"]): readonly (Ref | undefined)[] {
  const { e, type, q, k, v } = problem;
  const { mask, attributes } = standardCall(problem);
  const afterSoftmax = { qk_matmul_output_mode: int(3) };
  const types = [type, undefined, undefined, weights];
  const [out, , , scores] = e.ops(types, "Attention", [q, k, v, mask], { ...attributes, ...afterSoftmax });
  // ONNX's shape inference takes an open number of keys for 0 there, and what reads the scores for malformed.
  const open = typeof problem.keys !== "number";
  return [out, open ? e.op(weights, "Reshape", [scores, e.vector(weights.shape)], { allowzero: int(1) }) : scores];
}

function standardCall(problem: Problem) {
  const { packed, heads, kvHeads, scale } = problem;
  const { mask, flag } = standardMask(problem);
  const counts = packed ? { q_num_heads: int(heads as number), kv_num_heads: int(kvHeads as number) } : {};
  return { mask, attributes: { scale: float(scale), is_causal: flag ? int(1) : undefined, ...counts } };
}

/** The kernel's causal flag counts from the end where lengths differ; it is only set where they are equal. */
function standardMask(problem: Problem): { readonly mask: Ref | undefined; readonly flag: boolean } {
  const { e, extras, causal, queries, keys } = problem;
  const square = queries === keys;
  const plain = extras.mask === undefined && extras.bias === undefined;
  if (causal && square && plain && isBetween(keys, causalMaskLengths))
    return { mask: causalConstant(e, keys as number), flag: false };
  const flag = causal && square;
  if (plain && (flag || !causal)) return { mask: undefined, flag };
  return { mask: additiveMask(problem, causal && !square), flag };
}

const isBetween = (dim: Dim, { from, to }: { readonly from: number; readonly to: number }) =>
  typeof dim === "number" && dim >= from && dim <= to;

/** 0 where key ≤ query, -∞ elsewhere. */
function causalConstant(e: Emitter, length: number): Ref {
  return e.once(`causal ${length}`, () => {
    const values = Float64Array.from({ length: length * length }, (_, i) =>
      i % length <= Math.floor(i / length) ? 0 : Number.NEGATIVE_INFINITY,
    );
    return e.tensor(fromNumbers("f32", [1, 1, length, length], values), "causal");
  });
}

/**
 * Bias where the mask lets through, the most negative number elsewhere, for all queries and keys. Finite, because one
 * kernel makes NaN of rows of -∞; the other clears such rows either way. Layers that share the mask share this.
 */
export function additiveMask({ e, extras, queries, keys }: Problem, causal: boolean): Ref {
  const b = e.arena.build;
  const below = causal ? causalMask(b, { Q: queries, K: keys }) : undefined;
  const mask = extras.mask && below ? b.and(extras.mask, below) : (extras.mask ?? below);
  const { bias } = extras;
  const added = mask ? hiddenBy(e, mask, bias) : (bias ?? b.scalar(0, "f32"));
  const full = b.broadcast(added, { shape: [...added.type.shape.slice(0, 2), queries, keys] });
  return lowered(e, full);
}

function hiddenBy(e: Emitter, mask: Value, bias: Value | undefined): Value {
  const b = e.arena.build;
  if (!bias) return hidingBy(b, mask);
  return isAbsorbed(e, mask, bias)
    ? b.add(bias, hidingBy(b, mask))
    : b.select(mask, bias, b.scalar(lowest.f32!, "f32"));
}

/** 0 where a mask is on, the lowest number elsewhere. */
const hidingBy = (b: Build, mask: Value): Value => b.select(mask, b.scalar(0, "f32"), b.scalar(lowest.f32!, "f32"));

/**
 * Whether a bias may be added to the number that hides, and is lost in it: then fewer elements are chosen where the mask is the
 * same for all heads.
 */
function isAbsorbed(e: Emitter, mask: Value, bias: Value): boolean {
  const isAll = sameShape(mask.type.shape, broadcastShapes(mask.type.shape, bias.type.shape)!);
  if (isAll || bias.type.shape.every((dim) => dim === 1)) return false;
  const [low, high] = e.numbersOf(bias);
  return Math.max(-low, high) <= mostAbsorbed;
}

/** Half of the spacing of float32 at its lowest number is 1.01e31. */
const mostAbsorbed = 1e31;

function lowered(e: Emitter, value: Value): Ref {
  e.lower([value]);
  return e.ref(value);
}

/** Keeps no scores as long as it is given neither mask nor flag. */
function multiHead(problem: Problem): Ref {
  const { e, heads, scale } = problem;
  const { q, k, v, type } = packedOperands(problem);
  return unpacked(
    problem,
    e.contrib(type, "MultiHeadAttention", [q, k, v], { num_heads: int(heads as number), scale: float(scale) }),
  );
}

/** Keeps no scores as long as its present keys and values are asked for; a mask is a bias to it. */
function grouped(problem: Problem): Ref {
  const { e, heads, kvHeads, extras, scale, width, keys, batch } = problem;
  const { q, k, v, type } = packedOperands(problem);
  const bias = extras.mask || extras.bias ? additiveMask(problem, false) : undefined;
  const present = { dtype: type.dtype, shape: [batch, kvHeads, keys, width] };
  const lengths = [lastIndices(e, batch, keys), total(e, keys)];
  const inputs = [q, k, v, undefined, undefined, ...lengths, undefined, undefined, undefined, bias];
  const attributes = { num_heads: int(heads as number), kv_num_heads: int(kvHeads as number), scale: float(scale) };
  const [out] = e.ops([type, present, present], "GroupQueryAttention", inputs, attributes, contribDomain);
  return unpacked(problem, extras.mask ? clearUnseen(problem, out!, extras.mask) : out!);
}

/** Zeros in rows that see no key: those whose first key the mask lets through lies above the diagonal. */
function clearUnseen({ e, queries, keys, type: { dtype } }: Problem, packed: Ref, mask: Value): Ref {
  const b = e.arena.build;
  const index = b.reshape(b.iota({ size: keys }), { shape: [1, 1, 1, keys] });
  const first = b.neg(b.reduceMax(b.neg(b.select(mask, index, b.size({ of: keys }))), { axes: [-1], keepDims: true }));
  const seen = b.lessEqual(first, b.reshape(b.iota({ size: queries }), { shape: [1, 1, queries, 1] }));
  const rows = b.reshape(seen, { shape: [mask.type.shape[0]!, queries, 1] });
  return e.op(packed.type, "Where", [lowered(e, rows), packed, e.scalar(dtype, 0)]);
}

/** Index of the last key of each batch entry. */
function lastIndices(e: Emitter, batch: Dim, keys: Dim): Ref {
  if (typeof batch === "number" && typeof keys === "number")
    return e.constant("i32", [batch], new Array<number>(batch).fill(keys - 1), "last");
  const b = e.arena.build;
  const last = b.reshape(b.size({ of: sub(keys, 1) }), { shape: [1] });
  return lowered(e, b.cast(b.broadcast(last, { shape: [batch] }), { to: "i32" }));
}

function total(e: Emitter, keys: Dim): Ref {
  if (typeof keys === "number") return e.scalar("i32", keys);
  return lowered(e, e.arena.build.cast(e.arena.build.size({ of: keys }), { to: "i32" }));
}

/** The operands with heads side by side. */
function packedOperands(problem: Problem): Pick<Problem, "q" | "k" | "v" | "type"> {
  const { e, q, k, v, packed, batch, queries, heads, valueWidth, type } = problem;
  if (packed) return { q, k, v, type };
  const pack = (x: Ref) => {
    const [b, h, length, width] = x.type.shape as [Dim, Dim, Dim, Dim];
    return reshape(e, transpose(e, x, [0, 2, 1, 3]), [b, length, mul(h, width)]);
  };
  const shape = [batch, queries, mul(heads, valueWidth)];
  return { q: pack(q), k: pack(k), v: pack(v), type: { dtype: type.dtype, shape } };
}

function unpacked({ e, packed, batch, queries, heads, valueWidth }: Problem, out: Ref): Ref {
  return packed ? out : transpose(e, reshape(e, out, [batch, queries, heads, valueWidth]), [0, 2, 1, 3]);
}
