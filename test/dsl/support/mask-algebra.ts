import type { MaskFunction } from "../../../src/index.ts";

/** Mask algebra as a researcher writes it: functions of functions. */
export const causal: MaskFunction = ({ q, k }) => k <= q;
export const window =
  (size: number): MaskFunction =>
  ({ q, k }) =>
    Math.abs(q - k) < size;
export const and =
  (...masks: readonly MaskFunction[]): MaskFunction =>
  (at) =>
    masks.every((mask) => mask(at));
export const or =
  (...masks: readonly MaskFunction[]): MaskFunction =>
  (at) =>
    masks.some((mask) => mask(at));
/** Documents that lie behind one another: `inner` within each, counted from its own start. */
export function documents(inner: MaskFunction, offsets: readonly number[]): MaskFunction {
  const of: number[] = [];
  offsets.slice(1).forEach((end, document) => {
    while (of.length < end) of.push(document);
  });
  return ({ b, h, q, k }) => {
    const document = of[q]!;
    if (document !== of[k]) return false;
    return inner({ b, h, q: q - offsets[document]!, k: k - offsets[document]! });
  };
}
export function batchify(inner: MaskFunction, n: number): MaskFunction {
  return ({ b, h, q, k }) => Math.floor(q / n) === Math.floor(k / n) && inner({ b, h, q: q % n, k: k % n });
}
