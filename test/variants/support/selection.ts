import { expect } from "vitest";
import type { HostTensor } from "../../../src/index.ts";
import { toFloat64 } from "../../../src/ir/tensor.ts";

export type Vector = readonly number[];
export type Rows = readonly Vector[];

/** The last two axes of `x` at the given leading indices, as rows. */
export function rowsAt(x: HostTensor, ...at: readonly number[]): Rows {
  const [rows, width] = x.dims.slice(-2) as [number, number];
  const start = at.reduce((flat, i, axis) => flat * x.dims[axis]! + i, 0) * rows * width;
  const data = toFloat64(x).subarray(start, start + rows * width);
  return Array.from({ length: rows }, (_, i) => [...data.subarray(i * width, (i + 1) * width)]);
}

/** Rows for each sequence and head, one after the other. */
export const perHead = (batch: number, heads: number, rows: (b: number, h: number) => Rows): number[] =>
  Array.from({ length: batch * heads }, (_, i) => rows(Math.floor(i / heads), i % heads)).flat(2);

export const dot = (a: Vector, b: Vector): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
export const length = (a: Vector): number => Math.sqrt(dot(a, a));
export const scaled = (a: Vector, by: number): Vector => a.map((x) => x * by);
export const plus = (a: Vector, b: Vector): Vector => a.map((x, i) => x + b[i]!);
export const zeros = (width: number): Vector => new Array<number>(width).fill(0);
export const range = (size: number, start = 0): number[] => Array.from({ length: size }, (_, i) => start + i);

/**
 * Where the k largest stand, the first of equal ones first. Fails where the last one chosen and the first one not
 * are nearer than float32 can tell: then the test's inputs are no good.
 */
export function largest(scores: Vector, k: number): number[] {
  const order = range(scores.length).sort((i, j) => scores[j]! - scores[i]! || i - j);
  const [last, next] = [scores[order[k - 1]!]!, scores[order[k]!]];
  if (last !== undefined && next !== undefined && last !== next)
    expect(last - next, "distance of a choice").toBeGreaterThan(2e-6);
  return order.slice(0, k);
}

/** softmax(scores) of `values`; zero where there are none. */
export function weighted(scores: Vector, values: Rows, width: number): Vector {
  const top = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.reduce((sum, power, i) => plus(sum, scaled(values[i]!, power / total)), zeros(width));
}
