import { Arena, type Build, graphOf } from "../../../src/ir/arena.ts";
import { everyNode } from "../../../src/ir/cost.ts";
import { add, type Dim, evaluate, symbol, symbolsOf } from "../../../src/ir/dim.ts";
import { type DType, isFloat } from "../../../src/ir/dtype.ts";
import type { Graph, Value } from "../../../src/ir/graph.ts";
import { hashText } from "../../../src/ir/hash.ts";
import { elementCount, fromNumbers, type HostTensor } from "../../../src/ir/tensor.ts";
import { sameShape } from "../../../src/ir/types.ts";
import { activation } from "./blocks/activation.ts";
import { attend } from "./blocks/attention.ts";
import { chain, factored } from "./blocks/contraction.ts";
import { branched } from "./blocks/control.ts";
import { linear } from "./blocks/linear.ts";
import { detour } from "./blocks/movement.ts";
import { norm } from "./blocks/norm.ts";
import { type Draw, drawing } from "./draw.ts";

/** What blocks build with. */
export interface Maker {
  readonly arena: Arena;
  readonly b: Build;
  readonly draw: Draw;
  /** Batch and length of the tokens; either may be a symbol or a number. */
  readonly batch: Dim;
  readonly tokens: Dim;
  /** A length of keys of its own. */
  readonly past: Dim;
  /** Inputs declared so far. */
  readonly inputs: Value[];
  /** Values worth giving out though they are in the middle of something. */
  readonly seen: Value[];
  /** Bools named `open` let the first of the last axis through. */
  input(dtype: DType, shape: readonly Dim[], name?: "in" | "open"): Value;
  param(shape: readonly number[]): Value;
  c(value: number): Value;
}

export interface RandomModel {
  readonly arena: Arena;
  readonly graph: Graph;
  readonly weights: ReadonlyMap<string, HostTensor>;
}

/** What a random model starts from: no values yet. */
export function maker(seed: number): Maker {
  const draw = drawing(seed);
  const arena = new Arena();
  const b = arena.build;
  const inputs: Value[] = [];
  let params = 0;
  return {
    arena,
    b,
    draw,
    batch: draw.pick<Dim>([symbol("B"), symbol("B"), 1, 2]),
    tokens: draw.pick<Dim>([symbol("S"), symbol("S"), symbol("S"), 1, 3, 5]),
    past: draw.pick<Dim>([symbol("P"), symbol("P"), 4, 1]),
    inputs,
    seen: [],
    input(dtype, shape, name = "in") {
      const value = b.input({ name: `${name}${inputs.length}`, dtype, shape });
      inputs.push(value);
      return value;
    },
    param: (shape) => b.param({ name: `w${params++}`, dtype: "f32", shape, init: "normal" }),
    c: (value) => b.scalar(value, "f32"),
  };
}

type Block = (m: Maker, x: Value) => Value;

const blocks: readonly (readonly [weight: number, block: Block])[] = [
  [5, attend],
  [3, linear],
  [3, norm],
  [3, activation],
  [3, detour],
  [2, chain],
  [2, factored],
  [1, (m, x) => branched(m, x, [attend, norm, activation, linear, detour])],
];

export function pickBlock({ draw }: Maker): Block {
  const total = blocks.reduce((sum, [weight]) => sum + weight, 0);
  let at = draw.next() * total;
  return blocks.find(([weight]) => (at -= weight) < 0)![1];
}

/** A residual where the block kept the type; sometimes with a bias or a factor on the way. */
function joined({ b, draw, param, c }: Maker, x: Value, y: Value): Value {
  if (!sameShape(x.type.shape, y.type.shape) || draw.chance(0.4)) return y;
  const last = y.type.shape.at(-1);
  if (draw.chance(0.2) && typeof last === "number") y = b.add(y, param([last]));
  if (draw.chance(0.1)) y = b.mul(y, c(draw.pick([0.5, 2, -1])));
  return draw.chance(0.5) ? b.add(x, y) : b.add(y, x);
}

/** Attention-like, well-typed, of `size` blocks; the same for a seed. */
export function randomModel(seed: number, size = 4): RandomModel {
  const m = maker(seed);
  const width = m.draw.pick([1, 2, 4, 6, 8, 12]);
  let x = m.input("f32", [m.batch, m.tokens, width]);
  for (let i = 0; i < size; i++) {
    const y = pickBlock(m)(m, x);
    if (m.draw.chance(0.3)) m.arena.hint(y, { name: m.draw.pick(["h", "probs", "constructor", "x y"]) });
    x = joined(m, x, y);
    if (m.draw.chance(0.15)) m.seen.push(x);
  }
  const graph = graphOf("fuzz", m.inputs, outputsOf(m, x));
  return { arena: m.arena, graph, weights: weightsFor(graph) };
}

/** The result, and now and then an interior value, an input, a constant, a parameter, or one of them twice. */
function outputsOf(m: Maker, x: Value): (readonly [string, Value])[] {
  const { b, draw } = m;
  const values = [x];
  if (m.seen.length > 0 && draw.chance(0.5)) values.push(draw.pick(m.seen));
  if (draw.chance(0.1)) values.push(x);
  if (draw.chance(0.1)) values.push(m.inputs[0]!);
  if (draw.chance(0.05)) values.push(m.param([3, 2]));
  if (draw.chance(0.05)) values.push(b.constant({ value: fromNumbers("f32", [2], [1, -0]) }));
  if (draw.chance(0.1)) m.input("f32", [draw.pick<Dim>([7, add(m.tokens, 1)])]);
  return values.map((value, i) => [`out${i}`, value] as const);
}

/** A tensor for every parameter; it depends on the parameter alone. */
export function weightsFor(graph: Graph): Map<string, HostTensor> {
  const params = everyNode(graph).filter(({ op }) => op === "param");
  return new Map(params.map(({ results }) => [nameOf(results[0]!), weightFor(results[0]!)]));
}

export const weightFor = (param: Value): HostTensor =>
  randomTensor(named(param, 0), param.type.dtype, param.type.shape as readonly number[]);

const nameOf = ({ node }: Value) => String(node.attrs.get("name"));
const named = (leaf: Value, seed: number) =>
  drawing(Number.parseInt(hashText(`${seed} ${leaf.node.op} ${nameOf(leaf)}`).slice(0, 8), 16));

/** Floats about a normal distribution, bools with some rows all false, integers 0 … 2. */
function randomTensor(draw: Draw, dtype: DType, dims: readonly number[], open = false): HostTensor {
  const row = dims.at(-1) ?? 1;
  let kept = 0.5;
  const draws = Array.from({ length: elementCount(dims) }, (_, i) => {
    if (isFloat(dtype)) return draw.next() + draw.next() + draw.next() - 1.5;
    if (dtype !== "bool") return draw.int(0, 2);
    if (row > 0 && i % row === 0) kept = draw.pick([0, 0.5, 0.7, 1]);
    return draw.next() < kept || (open && i % row === 0) ? 1 : 0;
  });
  return fromNumbers(dtype, dims, draws);
}

/** A tensor for every input; it depends on the input, the sizes and the seed alone. */
export const feedsFor = (graph: Graph, sizes: ReadonlyMap<string, number>, seed: number): Map<string, HostTensor> =>
  new Map(graph.inputs.map((input) => [nameOf(input), feedFor(input, sizes, seed)]));

export function feedFor(input: Value, sizes: ReadonlyMap<string, number>, seed: number): HostTensor {
  const { dtype, shape } = input.type;
  const dims = shape.map((dim) => evaluate(dim, sizes));
  return randomTensor(named(input, seed), dtype, dims, nameOf(input).startsWith("open"));
}

export const symbolsOfInputs = (graph: Graph): readonly string[] => [
  ...new Set(graph.inputs.flatMap(({ type }) => type.shape.flatMap((dim) => [...symbolsOf(dim)]))),
];
