import type { Compiled } from "../../../src/compile.ts";
import type { DType } from "../../../src/ir/dtype.ts";
import { evaluateGraph } from "../../../src/ir/evaluate.ts";
import { numberToBfloat16, numberToFloat16, widenBfloat16, widenFloat16 } from "../../../src/ir/float16.ts";
import type { Graph, Value } from "../../../src/ir/graph.ts";
import type { RefTensor } from "../../../src/ir/op-def.ts";
import { type HostTensor, toFloat64 } from "../../../src/ir/tensor.ts";
import { drawing } from "./draw.ts";

interface Rounding {
  /** Half the distance from 1 to the next number. */
  readonly unit: number;
  /** The nearest number of the element type: 0 and infinity beyond its range. */
  readonly nearest: (x: number) => number;
}

const widened = (widen: (bits: Uint16Array) => Float32Array, narrow: (x: number) => number) => (x: number) =>
  widen(Uint16Array.of(narrow(x)))[0]!;

const roundings: ReadonlyMap<DType, Rounding> = new Map<DType, Rounding>([
  ["f64", { unit: 2 ** -53, nearest: (x) => x }],
  ["f32", { unit: 2 ** -24, nearest: Math.fround }],
  ["f16", { unit: 2 ** -11, nearest: widened(widenFloat16, numberToFloat16) }],
  ["bf16", { unit: 2 ** -8, nearest: widened(widenBfloat16, numberToBfloat16) }],
]);

const rounds = 12;
/** Kernels round several times within one op. */
const roundingsPerValue = 4;

/** What an element of a value may become in a run; undefined where it stays as it is. */
type Model = (value: Value, next: () => number) => ((x: number) => number) | undefined;

/** Every value off by some roundings of its element type, and within its range. */
const rounded: Model = ({ type }, next) => {
  const rounding = roundings.get(type.dtype);
  if (!rounding) return undefined;
  const most = roundingsPerValue * rounding.unit;
  return (x) => rounding.nearest(x * (1 + most * (2 * next() - 1)));
};

/** The runtime's sigmoid in f32 is right to 2^-23, as a sum with 1/2, and no closer for small ones: silu uses it. */
const sigmoidUnit = 2 ** -23;
const fixedPoint: Model = ({ node, type }, next) =>
  node.op === "sigmoid" && type.dtype === "f32"
    ? (x) => Math.round(x / sigmoidUnit + 2 * next() - 1) * sigmoidUnit
    : undefined;

/**
 * How far rounding alone can move each element of each output: Monte Carlo arithmetic (Parker, 1997). The declared graph
 * is evaluated in float64 again and again with every value in it, inputs and weights too, off by some roundings; the
 * compiled one with what its kernels are known to be off by. Infinite where an element is sometimes no number.
 */
export function roundingSpread(
  { declared, graph, weights }: Pick<Compiled, "declared" | "graph" | "weights">,
  feeds: ReadonlyMap<string, HostTensor>,
): ReadonlyMap<string, Float64Array> {
  const [own, kernels] = [spreadOf(declared, feeds, weights, rounded), spreadOf(graph, feeds, weights, fixedPoint)];
  return new Map(Array.from(own, ([name, spread]) => [name, spread.map((x, i) => x + kernels.get(name)![i]!)]));
}

function spreadOf(
  graph: Graph,
  feeds: ReadonlyMap<string, HostTensor>,
  weights: Compiled["weights"],
  model: Model,
): ReadonlyMap<string, Float64Array> {
  const exact = evaluateGraph(graph, feeds, { weights });
  const spread = new Map(Array.from(exact, ([name, { data }]) => [name, new Float64Array(data.length)]));
  for (let round = 0; round < rounds; round++) {
    // The first time rounded to the nearest, as most kernels do: what is equal by rounding alone is equal then.
    const next = round === 0 ? () => 0.5 : drawing(round).next;
    const watch = (value: Value, tensor: RefTensor) => {
      const off = model(value, next);
      return off ? { dims: tensor.dims, data: tensor.data.map(off) } : tensor;
    };
    for (const [name, { data }] of evaluateGraph(graph, feeds, { weights, watch }))
      widen(spread.get(name)!, exact.get(name)!.data, data);
  }
  return spread;
}

function widen(spread: Float64Array, exact: Float64Array, moved: Float64Array): void {
  for (let i = 0; i < spread.length; i++) {
    const off = moved[i] === exact[i] ? 0 : Math.abs(moved[i]! - exact[i]!);
    spread[i] = Math.max(spread[i]!, Number.isNaN(off) ? Number.POSITIVE_INFINITY : off);
  }
}

/** Whether no element is further off than `times` its spread and `base`, or stands where the spread is without end. */
export function explains(
  spread: Float64Array,
  expected: HostTensor,
  actual: HostTensor,
  base: number,
  times = 8,
): boolean {
  const [want, got] = [toFloat64(expected), toFloat64(actual)];
  return got.every(
    (x, i) => x === want[i] || Math.abs(x - want[i]!) <= base + times * spread[i]! || spread[i] === Infinity,
  );
}
