import type { IndexExpr, IndexFormula } from "../../../src/ir/index-expr/types.ts";
import {
  abs,
  add,
  and,
  at,
  bitAnd,
  bitOr,
  clamp,
  div,
  eq,
  floor,
  floorDiv,
  formula,
  ge,
  gt,
  k,
  le,
  lt,
  mod,
  mul,
  not,
  or,
  q,
  shiftRight,
  sub,
  table,
} from "./formula.ts";

/** The masks of attention-gym that are closed forms, for sequences of `n` positions, with sizes that grow with `scale`. */
export function catalogue(n: number, scale: number): ReadonlyMap<string, IndexFormula> {
  const causal = le(k, q);
  const distance = abs(sub(q, k));
  const window = 2 * scale;
  const offsets = documentOffsets(n, Math.max(2, Math.min(100, Math.floor(n / (3 * scale)))));
  const documents = documentOf(offsets, n);
  const doc = table("doc", documents);
  const start = table("offsets", offsets);
  const sameDocument = eq(at(0, [q]), at(0, [k]));
  const startOfQ = at(1, [at(0, [q])]);
  const within = (x: IndexExpr) => sub(x, at(1, [at(0, [x])]));
  const isGlobal = table(
    "isGlobal",
    Array.from({ length: n }, (_, i) => Number(i < scale || i === Math.floor(n / 2))),
  );
  const segment = 5 * scale;
  const half = Math.floor(n / 2);
  const block = scale;
  const [qBlock, kBlock] = [floorDiv(mod(q, half), block), floorDiv(mod(k, half), block)];
  const [qClean, kClean] = [ge(q, half), ge(k, half)];
  const prefix = 3 * scale;
  const tree = 8;
  const ancestors = Array.from({ length: tree * tree }, (_, t) => Number(isAncestor(t % tree, Math.floor(t / tree))));
  const side = Math.floor(Math.sqrt(n));
  const tiled = Math.max(8, side - (side % 8));
  const reach = Math.max(1, Math.floor(Math.sqrt(scale) / 2));
  const intervals = Array.from({ length: Math.ceil(n / segment) }, (_, i) => i);
  const masks: Record<string, IndexFormula> = {
    causal: formula(causal),
    "sliding window": formula(and(le(sub(q, k), window), ge(q, k))),
    "dilated sliding window": formula(and(le(distance, window), eq(mod(distance, 3), 0))),
    dilated: formula(eq(mod(distance, 4), 0)),
    "global sliding window": formula(or(le(distance, window), at(0, [q]), at(0, [k])), isGlobal),
    "prefix LM": formula(or(lt(k, prefix), le(k, q))),
    documents: formula(and(sameDocument, le(within(k), within(q))), doc, start),
    "packed causal documents": formula(and(ge(k, startOfQ), ge(q, k)), doc, start),
    "shared prefix": formula(
      or(and(ge(k, startOfQ), ge(q, k)), and(not(eq(at(0, [q]), 0)), ge(k, 0), lt(k, offsets[1] ?? n))),
      doc,
      start,
    ),
    batchify: formula(and(eq(floorDiv(q, segment), floorDiv(k, segment)), le(mod(k, segment), mod(q, segment)))),
    "block diffusion": formula(
      or(
        and(eq(qBlock, kBlock), eq(qClean, kClean)),
        and(gt(qBlock, kBlock), not(qClean), kClean),
        and(ge(qBlock, kBlock), qClean, kClean),
      ),
    ),
    "tree causal": formula(
      or(lt(k, prefix), and(ge(k, prefix), lt(k, prefix + tree), lt(q, tree), at(0, [q, sub(k, prefix)]))),
      table("ancestors", ancestors, [tree, tree]),
    ),
    "tree training": formula(
      or(
        lt(k, prefix),
        and(
          ge(k, prefix),
          eq(floorDiv(q, block), floorDiv(sub(k, prefix), block)),
          le(mod(sub(k, prefix), block), mod(q, block)),
        ),
      ),
    ),
    natten: formula(natten(side, side, reach, (x) => [floorDiv(x, side), mod(x, side)])),
    "tiled natten": formula(tiledNatten(tiled, 8, reach)),
    "Morton natten": formula(natten(side, side, reach, (x) => [evenBits(shiftRight(x, 1)), evenBits(x)])),
    "sliding tiles 2-D": formula(slidingTiles2d(tiled, 8, 3, n)),
    "sliding tiles 3-D": formula(slidingTiles3d(Math.max(4, Math.floor(Math.cbrt(n) / 4) * 4), 4, 3)),
    "spatial heads": formula(or(lt(k, prefix), lt(q, prefix), lt(distance, 4 * scale))),
    "temporal heads": formula(
      or(lt(k, prefix), lt(q, prefix), lt(abs(sub(mod(sub(q, prefix), segment), mod(sub(k, prefix), segment))), scale)),
    ),
    "vision cross attention": formula(
      and(ge(q, at(0, [floorDiv(k, segment)])), lt(q, at(1, [floorDiv(k, segment)]))),
      table(
        "first",
        intervals.map((i) => i * scale),
      ),
      table(
        "last",
        intervals.map((i) => (i + 2) * scale),
      ),
    ),
  };
  return new Map(Object.entries(masks));
}

/** Where `count` documents of uneven lengths begin. */
export function documentOffsets(n: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor((n * i * (i + count)) / (2 * count * count)));
}

export const documentOf = (offsets: readonly number[], n: number): number[] => {
  let current = 0;
  return Array.from({ length: n }, (_, i) => {
    while (current + 1 < offsets.length && i >= offsets[current + 1]!) current++;
    return current;
  });
};

/** In the heap-shaped tree. */
function isAncestor(a: number, node: number): boolean {
  for (let x = node; x >= a; x = (x - 1) >> 1) if (x === a) return true;
  return false;
}

function natten(
  width: number,
  height: number,
  reach: number,
  coordinates: (x: IndexExpr) => readonly [IndexExpr, IndexExpr],
): IndexExpr {
  const [qy, qx] = coordinates(q);
  const [ky, kx] = coordinates(k);
  const near = (a: IndexExpr, c: IndexExpr, size: number) => le(abs(sub(clamp(a, reach, size - 1 - reach), c)), reach);
  return and(near(qx, kx, width), near(qy, ky, height));
}

function tiledNatten(side: number, tile: number, reach: number): IndexExpr {
  const across = Math.floor(side / tile);
  const area = tile * tile;
  return natten(side, side, reach, (x) => {
    const [t, inner] = [floorDiv(x, area), mod(x, area)];
    return [
      add(mul(floorDiv(t, across), tile), floorDiv(inner, tile)),
      add(mul(mod(t, across), tile), mod(inner, tile)),
    ];
  });
}

/** The bits at even places, moved together (16 bits of 32). */
function evenBits(x: IndexExpr): IndexExpr {
  let y = bitAnd(x, 0x55555555);
  for (const [by, mask] of [
    [1, 0x33333333],
    [2, 0x0f0f0f0f],
    [4, 0x00ff00ff],
    [8, 0x0000ffff],
  ] as const)
    y = bitAnd(bitOr(y, shiftRight(y, by)), mask);
  return y;
}

const tileWindow = (qt: IndexExpr, kt: IndexExpr, tiles: number, kernel: number): IndexExpr => {
  const left = Math.floor(kernel / 2);
  const right = left + ((kernel % 2) - 1);
  const center = clamp(qt, left, tiles - 1 - right);
  return and(le(sub(center, left), kt), le(kt, add(center, right)));
};

function slidingTiles2d(side: number, tile: number, kernel: number, n: number): IndexExpr {
  const across = Math.floor(side / tile);
  const vision = Math.min(across * across * tile * tile, n);
  const tileOf = (x: IndexExpr) => floorDiv(x, tile * tile);
  const row = (x: IndexExpr) => floorDiv(tileOf(x), across);
  const column = (x: IndexExpr) => mod(tileOf(x), across);
  return or(
    and(
      lt(q, vision),
      lt(k, vision),
      tileWindow(row(q), row(k), across, kernel),
      tileWindow(column(q), column(k), across, kernel),
    ),
    and(lt(q, vision), ge(k, vision)),
    ge(q, vision),
  );
}

function slidingTiles3d(side: number, tile: number, kernel: number): IndexExpr {
  const across = Math.floor(side / tile);
  const tileOf = (x: IndexExpr) => floorDiv(x, tile ** 3);
  const axes = [
    (x: IndexExpr) => floor(div(tileOf(x), across * across)),
    (x: IndexExpr) => mod(floorDiv(tileOf(x), across), across),
    (x: IndexExpr) => mod(tileOf(x), across),
  ];
  return and(...axes.map((axis) => tileWindow(axis(q), axis(k), across, kernel)));
}
