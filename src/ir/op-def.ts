import type { AttrInput, AttrSpecs, Attrs } from "./attrs.ts";
import { fail, type SourceLocation } from "./diagnostics.ts";
import type { Dim } from "./dim.ts";
import type { DType } from "./dtype.ts";
import type { Graph, Value } from "./graph.ts";
import type { IndexExpr } from "./index-expr/types.ts";
import type { HostTensor } from "./tensor.ts";
import { showType, type TensorType } from "./types.ts";

/** Facts about an op that rules, costs and documentation read. */
export type Trait =
  /** No operands: inputs, parameters, constants. */
  | "leaf"
  /** Works on each element alone, broadcasting its operands. */
  | "elementwise"
  /** The first two operands may be exchanged. */
  | "commutative"
  /** Moves or repeats elements, computes none. */
  | "movement"
  | "reduction"
  /** Has a decomposition, which is its meaning. */
  | "composite"
  /** Holds graphs that it runs. */
  | "control"
  /** Sizes of its results are known once it ran: symbols of its result types that nothing else determines are bound then. */
  | "binds";

/** A value of the reference evaluation: every dtype as float64, row-major; bool is 0 or 1. */
export interface RefTensor {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

export interface InferContext<S extends AttrSpecs> {
  readonly types: readonly TensorType[];
  readonly attrs: Attrs<S>;
  /** Refuses the node unless `condition` holds, quoting the numbered constraint. */
  require(condition: unknown, constraint: string, detail: string): void;
  /** The value; refuses the node where there is none. */
  need<T>(value: T | undefined, constraint: string, detail: string): T;
}

export interface EvaluateContext<S extends AttrSpecs> {
  readonly attrs: Attrs<S>;
  readonly types: readonly TensorType[];
  /** Empty for an op that binds: its evaluation tells the sizes. */
  readonly results: readonly { readonly dtype: DType; readonly dims: readonly number[] }[];
  /** The value of a dimension in this run. */
  size(dim: Dim): number;
  /** Evaluates a subgraph on the given inputs. */
  call(graph: Graph, inputs: readonly RefTensor[]): readonly RefTensor[];
}

export interface CostContext<S extends AttrSpecs> {
  readonly types: readonly TensorType[];
  readonly results: readonly TensorType[];
  readonly attrs: Attrs<S>;
}

export interface GradContext<S extends AttrSpecs> {
  readonly operands: readonly Value[];
  readonly results: readonly Value[];
  readonly attrs: Attrs<S>;
  /** Gradient of the loss by the first result; same type as it. */
  readonly dy: Value;
}

/** Attributes of an attention. */
export interface AttentionInput {
  readonly scale: number;
  readonly causal?: boolean;
  readonly normaliser?: string;
  readonly mask?: IndexExpr;
  readonly score?: IndexExpr;
  readonly prob?: IndexExpr;
  readonly tables?: number;
}

/**
 * What decompositions and gradients build with. Written by hand, because a type derived from the registry would
 * depend on itself; `arena.ts` asserts that the registry provides it.
 */
export interface Emit {
  neg(x: Value): Value;
  exp(x: Value): Value;
  log(x: Value): Value;
  sqrt(x: Value): Value;
  erf(x: Value): Value;
  tanh(x: Value): Value;
  sin(x: Value): Value;
  cos(x: Value): Value;
  sigmoid(x: Value): Value;
  sign(x: Value): Value;
  abs(x: Value): Value;
  floor(x: Value): Value;
  ceil(x: Value): Value;
  round(x: Value): Value;
  not(x: Value): Value;
  add(x: Value, y: Value): Value;
  sub(x: Value, y: Value): Value;
  mul(x: Value, y: Value): Value;
  div(x: Value, y: Value): Value;
  pow(x: Value, y: Value): Value;
  mod(x: Value, y: Value): Value;
  max(x: Value, y: Value): Value;
  min(x: Value, y: Value): Value;
  equal(x: Value, y: Value): Value;
  less(x: Value, y: Value): Value;
  lessEqual(x: Value, y: Value): Value;
  and(x: Value, y: Value): Value;
  or(x: Value, y: Value): Value;
  select(condition: Value, x: Value, y: Value): Value;
  cast(x: Value, attrs: { to: DType }): Value;
  reduceSum(x: Value, attrs: { axes: readonly number[]; keepDims?: boolean }): Value;
  reduceMax(x: Value, attrs: { axes: readonly number[]; keepDims?: boolean }): Value;
  reduceMean(x: Value, attrs: { axes: readonly number[]; keepDims?: boolean }): Value;
  reshape(x: Value, attrs: { shape: readonly Dim[] }): Value;
  transpose(x: Value, attrs: { perm: readonly number[] }): Value;
  broadcast(x: Value, attrs: { shape: readonly Dim[] }): Value;
  slice(x: Value, attrs: { axis: number; start: Dim; end: Dim }): Value;
  cumsum(x: Value, attrs: { axis: number; exclusive?: boolean; reverse?: boolean }): Value;
  concat(...operands: [...Value[], { axis: number }]): Value;
  pad(x: Value, attrs: { axis: number; low: Dim; high: Dim; value?: number }): Value;
  gather(x: Value, indices: Value, attrs: { axis: number; batch?: number }): Value;
  scatter(x: Value, indices: Value, updates: Value, attrs: { axis: number; batch?: number; reduction?: string }): Value;
  topK(x: Value, attrs: { k: Dim; axis?: number; largest?: boolean }): Value;
  iota(attrs: { size: Dim; dtype?: DType }): Value;
  size(attrs: { of: Dim }): Value;
  contract(...operands: [...Value[], { spec: string }]): Value;
  softmax(x: Value, attrs?: { axis?: number }): Value;
  attention(...operands: [...Value[], AttentionInput]): Value;
  constant(attrs: { value: HostTensor }): Value;
  input(attrs: { name: string; dtype: DType; shape: readonly Dim[] }): Value;
  /** The first result; the others are its node's. */
  scan(...operands: [...Value[], { body: Graph; states: number; sequences: number }]): Value;
  /** A rank-0 constant. */
  scalar(value: number, dtype: DType): Value;
}

/** One operation: everything the project knows about it, in one place. */
export interface OpDef<S extends AttrSpecs = AttrSpecs, N extends readonly string[] = readonly string[]> {
  readonly name: string;
  readonly doc: string;
  /** Names of the operands; `bias?` may be left out, `...xs` takes any number. Both only at the end. */
  readonly operands: N;
  readonly attrs: S;
  readonly traits: readonly Trait[];
  /** `x op identity = x`, for binary ops. */
  readonly identity?: number;
  /** `x op absorbing = absorbing` for every finite x, on either side. */
  readonly absorbing?: number;
  /** `C1`, `C2`, …: what must hold of operands and attributes; quoted by errors, documentation and tests. */
  readonly constraints: Readonly<Record<string, string>>;
  /** Result type, or types where there are several. Calls `require` for each constraint. */
  infer(cx: InferContext<S>): TensorType | readonly TensorType[];
  /** Float64 reference. Composites may leave it out: their decomposition is evaluated instead. */
  evaluate?(operands: readonly RefTensor[], cx: EvaluateContext<S>): RefTensor | readonly RefTensor[];
  /** Floating-point operations as a formula in the dimensions; left out: one per result element if elementwise, else 0. */
  cost?(cx: CostContext<S>): Dim;
  /**
   * Where an axis of an operand is found in the results, if each index along it is computed by itself: index i of the
   * results needs index i of the operand only. Undefined where indices mix. Left out: elementwise ops and composites
   * follow from what they are, of others nothing is known.
   */
  follow?(cx: CostContext<S>, operand: number, axis: number): number | undefined;
  /** The most that symbols can be which the node binds. */
  limits?(cx: CostContext<S>): ReadonlyMap<string, Dim>;
  /** How many times the graphs it holds run; once where left out. */
  repeats?(cx: CostContext<S>): Dim;
  /** The composite in simpler ops. */
  decompose?(b: Emit, operands: readonly Value[], attrs: Attrs<S>): Value | readonly Value[];
  /** Gradients by each operand, undefined where there is none. */
  grad?(b: Emit, cx: GradContext<S>): readonly (Value | undefined)[];
}

/** Declares an op; keeps the literal types of its operand names and attributes. */
export const defineOp = <const S extends AttrSpecs, const N extends readonly string[]>(op: OpDef<S, N>): OpDef<S, N> =>
  op;

/** The arguments operand names stand for. */
export type OperandArgs<N extends readonly string[]> = N extends readonly [
  infer Head extends string,
  ...infer Tail extends readonly string[],
]
  ? Head extends `...${string}`
    ? Value[]
    : Head extends `${string}?`
      ? [] | [Value, ...OperandArgs<Tail>]
      : [Value, ...OperandArgs<Tail>]
  : [];

type AttrArgs<S extends AttrSpecs> = [keyof S] extends [never]
  ? []
  : Record<never, never> extends AttrInput<S>
    ? [attrs?: AttrInput<S>]
    : [attrs: AttrInput<S>];

/** The function a record gives rise to: operands, then attributes. */
export type OpFunction<D> =
  D extends OpDef<infer S, infer N> ? (...args: [...OperandArgs<N>, ...AttrArgs<S>]) => Value : never;

/** How many operands names allow. */
export function arity(names: readonly string[]): { readonly least: number; readonly most: number } {
  const least = names.filter((name) => !name.endsWith("?") && !name.startsWith("...")).length;
  return { least, most: names.some((name) => name.startsWith("...")) ? Number.POSITIVE_INFINITY : names.length };
}

export function constraintFailure(
  op: Pick<OpDef, "name" | "constraints" | "operands">,
  types: readonly TensorType[],
  constraint: string,
  detail: string,
  location?: SourceLocation,
): never {
  const operands = types.map(
    (type, i) => `${op.operands[i]?.replace(/^\.\.\.|\?$/g, "") ?? `operand ${i + 1}`}: ${showType(type)}`,
  );
  fail("QKV210", `${op.name}: ${detail} (${constraint})`, {
    notes: [operands.join("    "), `${constraint}: ${op.constraints[constraint] ?? "undocumented"}`],
    ...(location ? { location } : {}),
  });
}
