import type { MaskFunction } from "qkv";

/** Masks as functions, and functions that make masks of masks. Nothing here is known to the compiler. */

/** A query sees itself and what came before it. */
export const causal: MaskFunction = ({ q, k }) => k <= q;

/** A query sees keys at most `reach` away, on both sides. */
export const window =
  (reach: number): MaskFunction =>
  ({ q, k }) =>
    Math.abs(q - k) <= reach;

/** Every query sees the first `length` keys. */
export const prefix =
  (length: number): MaskFunction =>
  ({ k }) =>
    k < length;

/** What all of the masks show. */
export const and =
  (...masks: readonly MaskFunction[]): MaskFunction =>
  (at) =>
    masks.every((mask) => mask(at));

/** What at least one of the masks shows. */
export const or =
  (...masks: readonly MaskFunction[]): MaskFunction =>
  (at) =>
    masks.some((mask) => mask(at));

/** What the mask hides. */
export const not =
  (mask: MaskFunction): MaskFunction =>
  (at) =>
    !mask(at);

/**
 * For each position the number of its document, when documents lie behind one another and document i begins at
 * `offsets[i]`. The last one goes on for as long as the sequence does.
 */
export function documentOf(offsets: readonly number[]): (position: number) => number {
  const last = offsets.length - 1;
  const documents = Array.from({ length: offsets[last]! + 1 }, (_, i) => offsets.findLastIndex((start) => start <= i));
  return (position) => documents[Math.min(position, offsets[last]!)]!;
}

/** `inner` within each document, positions counted from its beginning; documents do not see one another. */
export function documents(inner: MaskFunction, offsets: readonly number[]): MaskFunction {
  const of = documentOf(offsets);
  return ({ b, h, q, k }) => {
    const document = of(q);
    const start = offsets[document]!;
    return document === of(k) && inner({ b, h, q: q - start, k: k - start });
  };
}

/** `inner` within each run of `length` positions: a batch of sequences of one length, laid out as one sequence. */
export const batchify =
  (inner: MaskFunction, length: number): MaskFunction =>
  ({ b, h, q, k }) =>
    Math.floor(q / length) === Math.floor(k / length) && inner({ b, h, q: q % length, k: k % length });

/** The nearest number from `low` to `high`. */
export const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

/** A place on a canvas. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Sizes of a canvas and of the neighbourhood on it; the latter odd. */
export interface Canvas {
  readonly width: number;
  readonly height: number;
  readonly kernelWidth: number;
  readonly kernelHeight: number;
}

/** The kernel around a query, moved inwards where it would reach over the edge: every query sees as many keys. */
export function neighbourhood(place: (position: number) => Point, canvas: Canvas): MaskFunction {
  const [rx, ry] = [Math.floor(canvas.kernelWidth / 2), Math.floor(canvas.kernelHeight / 2)];
  return ({ q, k }) => {
    const query = place(q);
    const key = place(k);
    const x = clamp(query.x, rx, canvas.width - 1 - rx);
    const y = clamp(query.y, ry, canvas.height - 1 - ry);
    return Math.abs(x - key.x) <= rx && Math.abs(y - key.y) <= ry;
  };
}

/** Sizes along each axis of a canvas that is laid out tile by tile, outermost axis first; tiles fit in whole numbers. */
export interface Tiles {
  readonly canvas: readonly number[];
  readonly kernel: readonly number[];
  readonly tile: readonly number[];
  /** Text tokens behind the canvas, which see and are seen by all. */
  readonly text: number;
}

/** A kernel of whole tiles around the query's tile, moved inwards at the edges. An even kernel reaches back further. */
export function slidingTiles({ canvas, kernel, tile, text }: Tiles): MaskFunction {
  const size = canvas.reduce((product, n) => product * n, 1);
  const tileSize = tile.reduce((product, n) => product * n, 1);
  const axes = canvas.map((n, axis) => {
    const tiles = n / tile[axis]!;
    const reach = kernel[axis]! / tile[axis]!;
    const inner = canvas.slice(axis + 1).reduce((product, m, i) => product * (m / tile[axis + 1 + i]!), 1);
    return { tiles, inner, back: Math.floor(reach / 2), ahead: Math.ceil(reach / 2) - 1 };
  });
  return ({ q, k }) => {
    const near = axes.every(({ tiles, inner, back, ahead }) => {
      const centre = clamp(Math.floor(q / tileSize / inner) % tiles, back, tiles - 1 - ahead);
      const at = Math.floor(k / tileSize / inner) % tiles;
      return centre - back <= at && at <= centre + ahead;
    });
    return k < size ? q >= size || near : k < size + text;
  };
}
