import type { Build } from "../../ir/arena.ts";
import { seenRows } from "../../ir/attend.ts";
import { type Dim, divideExact } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { conjuncts } from "./causal.ts";
import { withoutCopies } from "./heads.ts";

/** What tells which rows see nothing: a mask of keys under a causal one, or all there is of a mask. */
export interface Seen {
  /** Bool, [1 | batch, 1 | heads, 1 | queries, keys]. */
  readonly mask: Value;
  /** Later keys are hidden besides, and `mask` is the same for all queries. */
  readonly causal: boolean;
}

/**
 * What attention lacks where a finite mask hides every key of a query: such a row weighs all keys alike, and so is the
 * mean of the values. `attention` leaves it zero. q is [batch, heads, queries, width], v [batch, kvHeads, keys, width];
 * the answer stretches to the attention's.
 */
export function meansOfUnseen(b: Build, [q, v]: readonly [Value, Value], seen: Seen): Value {
  const [, heads] = q.type.shape as [Dim, Dim];
  const unseen = b.cast(seen.causal ? beforeFirst(b, q, seen.mask) : b.not(seenRows(b, seen.mask)), {
    to: q.type.dtype,
  });
  const mean = b.reduceMean(withoutCopies(b, v) ?? v, { axes: [2], keepDims: true });
  return b.mul(unseen, repeated(b, mean, heads));
}

/** The masks whose conjunction a tensor is 1 for where a row sees nothing of it, as `meansOfUnseen` writes it, and 0 elsewhere. */
export function unseenUnder({ node }: Value): (Omit<Seen, "mask"> & { readonly masks: readonly Value[] }) | undefined {
  const [rows] = node.op === "cast" ? node.operands : [];
  const under = (mask: Value | undefined, causal: boolean) => mask && { masks: conjuncts(mask), causal };
  if (rows?.node.op === "not") {
    const most = rows.node.operands[0]!.node;
    const seen = most.op === "cast" ? most.operands[0]!.node : undefined;
    const counted = seen?.op === "reduceMax" ? seen.operands[0]!.node : undefined;
    return counted?.op === "cast" ? under(counted.operands[0], false) : undefined;
  }
  const first = rows?.node.op === "less" ? rows.node.operands[1]!.node : undefined;
  const chosen = first?.op === "reduceMin" ? first.operands[0]!.node : undefined;
  return chosen?.op === "select" ? under(chosen.operands[0], true) : undefined;
}

/** Queries ahead of the first key a mask of keys lets through. */
function beforeFirst(b: Build, q: Value, mask: Value): Value {
  const [queries, keys] = [q.type.shape[2]!, mask.type.shape[3]!];
  const key = b.reshape(b.iota({ size: keys }), { shape: [1, 1, 1, keys] });
  const query = b.reshape(b.iota({ size: queries }), { shape: [1, 1, queries, 1] });
  const first = b.reduceMin(b.select(mask, key, b.size({ of: keys })), { axes: [-1], keepDims: true });
  return b.less(query, first);
}

/** [batch, kvHeads, 1, width] with each head repeated for the query heads that share it. */
function repeated(b: Build, x: Value, heads: Dim): Value {
  const [batch, kvHeads, , width] = x.type.shape as [Dim, Dim, Dim, Dim];
  const group = divideExact(heads, kvHeads)!;
  if (group === 1) return x;
  const wide = b.broadcast(b.reshape(x, { shape: [batch, kvHeads, 1, 1, width] }), {
    shape: [batch, kvHeads, group, 1, width],
  });
  return b.reshape(wide, { shape: [batch, heads, 1, width] });
}
