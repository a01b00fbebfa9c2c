import { attrsOf, type Build } from "../../ir/arena.ts";
import { both, causalFormula, seenRows } from "../../ir/attend.ts";
import { type Dim, divideExact, sub } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { causalAmongLast } from "../../ir/index-analysis/diagonal.ts";
import { operandsOf } from "../../ir/index-analysis/logic.ts";
import type { IndexExpr } from "../../ir/index-expr/types.ts";
import { attentionExtras } from "../../ir/ops/attention.ts";
import { conjuncts } from "./causal.ts";
import { withoutCopies } from "./heads.ts";
import { conjunction, liftedMask } from "./lift.ts";

/** Which of the keys the queries are, in order. */
export type Counted = "first" | "last";

/** What tells which rows see nothing: a mask of keys under a causal one, or all there is of a mask. */
export interface Seen {
  /** Bool, [1 | batch, 1 | heads, 1 | queries, keys]. */
  readonly mask: Value;
  /** Later keys are hidden besides: those after a query's place, queries being the first or the last of the keys. */
  readonly causal: Counted | undefined;
}

/**
 * What attention lacks where a finite mask hides every key of a query: such a row weighs all keys alike, and so is the
 * mean of the values. `attention` leaves it zero. q is [batch, heads, queries, width], v [batch, kvHeads, keys, width];
 * the answer stretches to the attention's.
 */
export function meansOfUnseen(b: Build, [q, v]: readonly [Value, Value], seen: Seen): Value {
  return b.mul(b.cast(unseenRows(b, [q, v], seen), { to: q.type.dtype }), meanOfValues(b, [q, v]));
}

/** Whether any row sees nothing: a bool without axes. */
export function someSeeNothing(b: Build, operands: readonly [Value, Value], seen: Seen): Value {
  const rows = b.cast(unseenRows(b, operands, seen), { to: "i32" });
  return b.cast(b.reduceMax(rows, { axes: rows.type.shape.map((_, axis) => axis), keepDims: false }), { to: "bool" });
}

const unseenRows = (b: Build, operands: readonly [Value, Value], { mask, causal }: Seen): Value =>
  causal ? beforeFirst(b, operands, mask, causal) : b.not(seenRows(b, mask));

function meanOfValues(b: Build, [q, v]: readonly [Value, Value]): Value {
  const [, heads] = q.type.shape as [Dim, Dim];
  return repeated(b, b.reduceMean(withoutCopies(b, v) ?? v, { axes: [2], keepDims: true }), heads);
}

/** The factor for rows that see nothing, where a product is what `meansOfUnseen` writes for this very attention. */
export function unseenOf(b: Build, attention: Node, { node }: Value): Value | undefined {
  const [q, k, v, ...extras] = attention.operands as [Value, Value, Value, ...Value[]];
  const rows = node.op === "mul" ? node.operands.find((value) => unseenUnder(value)) : undefined;
  const under = rows && unseenUnder(rows);
  if (!under || !node.operands.includes(meanOfValues(b, [q, v]))) return undefined;
  const { causal, mask, tables } = attrsOf(attention, "attention");
  const operand = attentionExtras(extras, tables).mask;
  const own = new Set(operand ? conjuncts(operand) : []);
  const [queries, keys] = [q.type.shape[2]!, k.type.shape[2]!];
  const pairs = { query: 1, key: 0, keysBefore: sub(keys, queries) };
  const masks = conjuncts(under.mask);
  const told = masks.filter((value) => !own.has(value)).map((value) => liftedMask(value, pairs));
  if (masks.length - told.length !== own.size || !told.every((formula) => formula !== undefined)) return undefined;
  const counted = (["first", "last"] as const).find((each) => under.places === placesOf(b, queries, keys, each));
  if (under.places && !counted) return undefined;
  const later = counted === "last" ? causalAmongLast : causalFormula;
  const seen = conjunction([...told, ...(counted ? [later] : [])]);
  return sameFacts(seen, causal ? both(causalFormula, mask) : mask) ? rows : undefined;
}

/** Whether two masks are conjunctions of the same. */
function sameFacts(x: IndexExpr, y: IndexExpr): boolean {
  const [these, those] = [x, y].map((mask) => new Set(operandsOf("and", mask)));
  return these!.size === those!.size && [...these!].every((fact) => those!.has(fact));
}

/** What a row sees nothing under. */
interface Under {
  readonly mask: Value;
  /** Where later keys are hidden besides: the places of the queries among the keys. */
  readonly places?: Value;
}

/** What a tensor is 1 for where a row sees nothing under it, as `meansOfUnseen` writes it, and 0 elsewhere. */
export function unseenUnder({ node }: Value): Under | undefined {
  const [rows] = node.op === "cast" ? node.operands : [];
  const under = (mask: Value | undefined, places?: Value): Under | undefined =>
    mask && { mask, ...(places && { places }) };
  if (rows?.node.op === "not") {
    const most = rows.node.operands[0]!.node;
    const seen = most.op === "cast" ? most.operands[0]!.node : undefined;
    const counted = seen?.op === "reduceMax" ? seen.operands[0]!.node : undefined;
    return counted?.op === "cast" ? under(counted.operands[0]) : undefined;
  }
  const [places, first] = rows?.node.op === "less" ? rows.node.operands : [];
  const chosen = first?.node.op === "reduceMin" ? first.node.operands[0]!.node : undefined;
  return chosen?.op === "select" ? under(chosen.operands[0], places) : undefined;
}

/** Queries ahead of the first key a mask of keys lets through. */
function beforeFirst(b: Build, [q, v]: readonly [Value, Value], mask: Value, counted: Counted): Value {
  const [queries, keys] = [q.type.shape[2]!, v.type.shape[2]!];
  const key = b.reshape(b.iota({ size: keys }), { shape: [1, 1, 1, keys] });
  const first = b.reduceMin(b.select(mask, key, b.size({ of: keys })), { axes: [-1], keepDims: true });
  return b.less(placesOf(b, queries, keys, counted), first);
}

/** The places of the queries among the keys. */
function placesOf(b: Build, queries: Dim, keys: Dim, counted: Counted): Value {
  const query = b.reshape(b.iota({ size: queries }), { shape: [1, 1, queries, 1] });
  return counted === "first" || queries === keys ? query : b.add(query, b.size({ of: sub(keys, queries) }));
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
