import { fail } from "../ir/diagnostics.ts";
import type { Dim } from "../ir/dim.ts";
import { isFloat } from "../ir/dtype.ts";
import { broadcastShapes, sameShape, showShape, showType } from "../ir/types.ts";
import { type Builder, run } from "./builder.ts";
import { checkOptions, finite } from "./checks.ts";
import { apply, asTensor, type DTypeOf, type ShapeOf, sameDType, type Tensor } from "./tensor.ts";

export interface LinearAttentionOptions {
  /** Factor of what is read; 1 by default. */
  readonly scale?: number;
  /** Logarithm of what is kept of the state at each step: one number, or one for each element of a key. */
  readonly logDecay?: Tensor;
  /** Rate at which a key's old value is replaced by the new one (the delta rule), [batch, heads, seq, 1]. */
  readonly rate?: Tensor;
}

/**
 * Causal attention by a state S of fixed size, [width, value width] for each head, one position after the other:
 * S ← e^logDecay S + k vᵀ, or with a rate S ← S' + rate · k (v - S'ᵀ k)ᵀ, S' = e^logDecay S; o = scale · Sᵀ q.
 * q and k are [batch, heads, seq, width], v is [batch, heads, seq, value width]; logDecay and rate have four axes, each
 * 1 or that of k. Throws QKV107, QKV109, QKV110, QKV120.
 *
 * Katharopoulos et al., arXiv:2006.16236; Yang et al., arXiv:2312.06635, arXiv:2406.06484 and arXiv:2412.06464.
 */
export function linearAttention<Q extends Tensor, K extends Tensor, V extends Tensor>(
  q: Q,
  k: K,
  v: V,
  options?: LinearAttentionOptions,
): Tensor<ShapeOf<V>, DTypeOf<V>> {
  return run(linearAttention, [q, k, v], (b) => {
    const { scale = 1, logDecay, rate } = checkOptions(options, ["scale", "logDecay", "rate"], "linearAttention");
    const operands = Object.entries({ q, k, v }).map(([name, x]) => asTensor(b, x, name));
    checkOperands(operands as [Tensor, Tensor, Tensor]);
    const lead = operands[0]!.shape.slice(0, 3);
    const gates = [
      ...gate(b, logDecay, "logDecay", operands[0]!, operands[1]!.shape),
      ...gate(b, rate, "rate", operands[0]!, [...lead, 1]),
    ];
    const attrs = { scale: finite(scale, "scale"), decay: logDecay !== undefined, delta: rate !== undefined };
    return apply(b, "linearAttention", [...operands, ...gates], attrs);
  }) as never;
}

function checkOperands([q, k, v]: readonly [Tensor, Tensor, Tensor]): void {
  const notes = [`q: ${showType(q.value.type)}    k: ${showType(k.value.type)}    v: ${showType(v.value.type)}`];
  for (const [name, { rank }] of Object.entries({ q, k, v }))
    if (rank !== 4)
      fail("QKV110", `linearAttention: ${name} has ${rank} axes; it is [batch, heads, seq, width]`, { notes });
  sameDType([q, k, v], "linearAttention");
  if (!isFloat(q.dtype)) fail("QKV109", `linearAttention: q is ${q.dtype}, not floating point`, { notes });
  if (!sameShape(q.shape, k.shape))
    fail("QKV107", `linearAttention: q is ${showShape(q.shape)} but k is ${showShape(k.shape)}`, { notes });
  if (!sameShape(k.shape.slice(0, 3), v.shape.slice(0, 3)))
    fail("QKV107", `linearAttention: k is ${showShape(k.shape)} but v is ${showShape(v.shape)}`, { notes });
}

/** The gate, if it is given, with four axes that stretch to `shape`. */
function gate(
  b: Builder,
  given: Tensor | undefined,
  name: string,
  q: Tensor,
  shape: readonly Dim[],
): readonly Tensor[] {
  if (given === undefined) return [];
  const x = asTensor(b, given, name);
  if (x.dtype !== q.dtype)
    fail("QKV109", `linearAttention: ${name} is ${x.dtype}, q is ${q.dtype}`, {
      help: `write ${name}.cast("${q.dtype}")`,
    });
  const common = x.rank === 4 ? broadcastShapes(x.shape, shape) : undefined;
  if (!common || !sameShape(common, shape))
    fail("QKV107", `linearAttention: ${name} ${showShape(x.shape)} does not stretch to ${showShape(shape)}`, {
      help: "give it four axes, each 1 or that of k",
    });
  return [x];
}
