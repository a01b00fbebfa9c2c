import { fail } from "../ir/diagnostics.ts";
import { add, ceilDiv, type Dim, divideExact, min, mul, show, sub } from "../ir/dim.ts";
import { sameShape, showShape, showType } from "../ir/types.ts";
import { checkOperands } from "./attention.ts";
import { run } from "./builder.ts";
import { checkOptions, finite, positiveInteger } from "./checks.ts";
import { einsum } from "./einsum.ts";
import { gather, scatter } from "./indexing.ts";
import { constant, iota, size } from "./leaves.ts";
import { and, greater, greaterEqual, less, lessEqual, minimum } from "./math.ts";
import { broadcastTo, expandDims, pad, reshape, slice, transpose, where } from "./movement.ts";
import { cumsum, max, softmax, sum } from "./reduce.ts";
import type { Shape } from "./shape-types.ts";
import { asTensor, type DTypeOf, type Tensor } from "./tensor.ts";

export interface BlockAttentionOptions {
  /** Keys in a block. */
  readonly block: number;
  /** Query i sees keys 0 … i only. */
  readonly causal?: boolean;
  /** Factor of the scores; 1/√width by default. */
  readonly scale?: number;
  /** Keys that may be seen, bool [batch, kvHeads, keys]; all by default. */
  readonly keyMask?: Tensor;
}

/** Sizes, as the names in the comments below have them. */
interface Sizes {
  readonly batch: Dim;
  /** Heads of k and v, and query heads to each. */
  readonly heads: Dim;
  readonly group: Dim;
  readonly queries: Dim;
  readonly width: number;
  readonly keys: Dim;
  readonly valueWidth: Dim;
  /** Blocks there are, and that a query chooses. */
  readonly blocks: Dim;
  readonly chosen: Dim;
  readonly block: number;
  /** Tiles of `block` queries each that are enough for every way to choose. */
  readonly tiles: Dim;
}

/**
 * Attention of each query to blocks of keys chosen at run time: `blocks` [batch, kvHeads, queries, n] holds n different
 * numbers of blocks for each query, or -1 for none. q is [batch, heads, queries, width], k and v are [batch, kvHeads, keys, …];
 * the query heads of a group share their choice. The last block may be short. Queries that see no key are zero.
 *
 * No score is computed outside of what is chosen: queries are sorted by block into tiles, each tile meets its block once, and a
 * query's parts are merged by the logarithms of their sums. The cost is that of queries · n blocks, and one tile more a block.
 *
 * Throws QKV101, QKV107 to QKV111, QKV120.
 */
export function blockAttention<Q extends Tensor>(
  q: Q,
  k: Tensor,
  v: Tensor,
  blocks: Tensor,
  options: BlockAttentionOptions,
): Tensor<Shape, DTypeOf<Q>> {
  return run(blockAttention, [q, k, v, blocks], (b) => {
    const given = checkOptions(options, ["block", "causal", "scale", "keyMask"], "blockAttention");
    const [queries, keys, values] = [asTensor(b, q, "q"), asTensor(b, k, "k"), asTensor(b, v, "v")];
    const choice = asTensor(b, blocks, "blocks");
    const sizes = sizesOf(queries, keys, values, choice, positiveInteger(given.block, "block"));
    const scale = given.scale === undefined ? 1 / Math.sqrt(sizes.width) : finite(given.scale, "scale");
    const keyMask = given.keyMask && keyMaskOf(asTensor(b, given.keyMask, "keyMask"), sizes);
    const places = dispatch(choice, sizes);
    const seen = visible(places, sizes, given.causal ?? false, keyMask);
    const found = tileByTile(queries, [keys, values], places, sizes, scale, seen);
    return gathered(found, places, sizes);
  }) as never;
}

function sizesOf(q: Tensor, k: Tensor, v: Tensor, blocks: Tensor, block: number): Sizes {
  checkOperands(q, k, v);
  if (q.rank !== 4)
    fail("QKV110", `blockAttention: q has ${q.rank} axes; it must be [batch, heads, queries, width]`, {
      notes: [`q: ${showType(q.value.type)}`],
    });
  const [batch, all, queries, width] = q.shape as readonly Dim[] as [Dim, Dim, Dim, Dim];
  const [, heads, keys] = k.shape as readonly Dim[] as [Dim, Dim, Dim];
  const chosen = blocks.shape[3];
  const fits = blocks.rank === 4 && [batch, heads, queries].every((dim, i) => blocks.shape[i] === dim);
  if (!fits || chosen === undefined)
    return fail("QKV107", `blockAttention: blocks ${showType(blocks.value.type)} name no blocks for each query`, {
      help: `they are i64[${[batch, heads, queries].map(show).join(", ")}, n]`,
    });
  if (blocks.dtype !== "i64" && blocks.dtype !== "i32")
    fail("QKV109", `blockAttention: blocks are ${blocks.dtype}; they must be i64 or i32`);
  if (typeof width !== "number") return fail("QKV120", `blockAttention: the width ${show(width)} is no integer`);
  const count = ceilDiv(keys, block);
  const pairs = ceilDiv(mul(queries, chosen), block);
  const tiles = min(add(pairs, count), mul(count, ceilDiv(queries, block)));
  const group = divideExact(all, heads)!;
  return { batch, heads, group, queries, width, keys, valueWidth: v.shape[3]!, blocks: count, chosen, block, tiles };
}

function keyMaskOf(mask: Tensor, s: Sizes): Tensor {
  const wanted = [s.batch, s.heads, s.keys];
  if (mask.dtype === "bool" && sameShape(mask.shape, wanted)) return mask;
  return fail("QKV111", `blockAttention: the mask of keys is ${showType(mask.value.type)}`, {
    help: `it is bool${showShape(wanted)}, true where a key may be seen`,
  });
}

/** Which query stands where in the tiles. */
interface Places {
  /** Whether a choice names a block, [batch, heads, queries, chosen]. */
  readonly real: Tensor;
  /** Where the query of a choice stands among all rows of all tiles, of that shape. */
  readonly rows: Tensor;
  /** The query of each row, [batch, heads, tiles · block]; 0 for rows that are no one's. */
  readonly queries: Tensor;
  /** The block of each tile, [batch, heads, tiles]. */
  readonly blocks: Tensor;
}

function dispatch(choice: Tensor, s: Sizes): Places {
  const indices = choice.cast("i64");
  const real = and(greaterEqual(indices, 0), less(indices, size(s.blocks)));
  const at = where(real, indices, size(s.blocks));
  const zero = (dims: readonly Dim[], dtype: "i32" | "i64" = "i64") => broadcastTo(constant(0, dtype), dims);
  const one = broadcastTo(constant(1, "i32"), at.shape);
  const marked = scatter(zero([s.batch, s.heads, s.queries, add(s.blocks, 1)], "i32"), at, one, { batch: 3 });
  const marks = slice(marked, { axis: 3, end: s.blocks });
  const rank = cumsum(marks, { axis: 2, exclusive: true });
  const filled = sum(marks, { axes: 2 })
    .cast("i64")
    .add(s.block - 1)
    .div(s.block);
  const ends = cumsum(filled, { axis: -1 });
  const known = where(real, indices, 0);
  const start = gather(ends.sub(filled), known, { axis: 2, batch: 2 });
  const capacity = mul(s.tiles, s.block);
  const row = start.mul(s.block).add(gather(rank, known, { axis: 3, batch: 3 }).cast("i64"));
  const rows = where(real, row, size(capacity));
  const names = broadcastTo(expandDims(iota(s.queries), 1), at.shape);
  const queries = scatter(zero([s.batch, s.heads, add(capacity, 1)]), rows, names, { batch: 2 });
  const past = lessEqual(expandDims(ends, 2), expandDims(iota(s.tiles), 1)).cast("i32");
  const blocks = minimum(sum(past, { axes: 3 }).cast("i64"), size(s.blocks).sub(1));
  return { real, rows: where(real, row, 0), queries: slice(queries, { axis: 2, end: capacity }), blocks };
}

/** What rows of tiles found, and the logarithm of the sum of what they saw. */
interface Found {
  /** [batch, heads, tiles · block, group, valueWidth]. */
  readonly out: Tensor;
  /** [batch, heads, tiles · block, group, 1]. */
  readonly z: Tensor;
  /** Logarithms below this are of rows that saw nothing. */
  readonly nothing: number;
}

function tileByTile(
  q: Tensor,
  [k, v]: readonly [Tensor, Tensor],
  places: Places,
  s: Sizes,
  scale: number,
  seen: Tensor | undefined,
): Found {
  const perTile = mul(s.block, s.group);
  const grouped = transpose(reshape(q, [s.batch, s.heads, s.group, s.queries, s.width]), [0, 1, 3, 2, 4]);
  const rows = gather(grouped, places.queries, { axis: 2, batch: 2 });
  const tiled = reshape(rows, [s.batch, s.heads, s.tiles, perTile, s.width]);
  const raw = einsum("b g t r d, b g t k d -> b g t r k", tiled, ofTiles(k, places, s)).mul(scale);
  const never = q.dtype === "f16" ? -6e4 : -1e30;
  const scores = seen ? where(seen, raw, never) : raw;
  const weights = softmax(scores);
  const out = einsum("b g t r k, b g t k e -> b g t r e", weights, ofTiles(v, places, s));
  // exp(s - z) is the weight of s, for the largest as for all others.
  const along = { axes: -1, keepDims: true };
  const z = max(scores, along).sub(max(weights, along).log());
  const flat = (x: Tensor, width: Dim) => reshape(x, [s.batch, s.heads, mul(s.tiles, s.block), s.group, width]);
  return { out: flat(out, s.valueWidth), z: flat(z, 1), nothing: never / 2 };
}

/** The block of keys each tile meets: [batch, heads, keys, …] as [batch, heads, tiles, block, …]. */
function ofTiles(x: Tensor, places: Places, s: Sizes): Tensor {
  const filled = pad(x, { axis: 2, high: sub(mul(s.blocks, s.block), s.keys) });
  const cut = reshape(filled, [s.batch, s.heads, s.blocks, s.block, ...x.shape.slice(3)]);
  return gather(cut, places.blocks, { axis: 2, batch: 2 });
}

/** Which key of its block a row sees, [batch, heads, tiles, block · group or 1, block]; undefined where it is all of them. */
function visible(places: Places, s: Sizes, causal: boolean, keyMask: Tensor | undefined): Tensor | undefined {
  const given = keyMask && expandDims(ofTiles(keyMask, places, s), 3);
  const whole = divideExact(s.keys, s.block) !== undefined;
  // What fills the last block up is masked as any key is.
  if (!causal && (whole || given)) return given;
  const first = places.blocks.mul(s.block);
  const keys = expandDims(expandDims(first, 3).add(iota(s.block)), 3);
  const last = size(s.keys).sub(1);
  if (!causal) return lessEqual(keys, last);
  const bound = reshape(minimum(places.queries, last), [s.batch, s.heads, s.tiles, s.block, 1, 1]);
  const shape = [s.batch, s.heads, s.tiles, s.block, s.group, 1];
  const limit = reshape(broadcastTo(bound, shape), [s.batch, s.heads, s.tiles, mul(s.block, s.group), 1]);
  const before = lessEqual(keys, limit);
  return given ? and(before, given) : before;
}

/** The parts of each query, merged: [batch, heads · group, queries, valueWidth]. */
function gathered({ out, z, nothing }: Found, { rows, real }: Places, s: Sizes): Tensor {
  const parts = (x: Tensor) => gather(x, rows, { axis: 2, batch: 2 });
  const logs = parts(z);
  const saw = and(expandDims(real, 4, 5), greater(logs, nothing));
  const weights = where(saw, softmax(where(saw, logs, 2 * nothing), { axis: 3 }), 0);
  const merged = sum(parts(out).mul(weights), { axes: 3 });
  return reshape(transpose(merged, [0, 1, 3, 2, 4]), [s.batch, mul(s.heads, s.group), s.queries, s.valueWidth]);
}
