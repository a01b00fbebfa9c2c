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

export const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);
