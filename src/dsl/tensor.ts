import { fail } from "../ir/diagnostics.ts";
import { type Dim, show } from "../ir/dim.ts";
import { type DType, isFloat } from "../ir/dtype.ts";
import type { Value } from "../ir/graph.ts";
import type { OpName } from "../ir/ops/index.ts";
import { broadcastShapes, showType } from "../ir/types.ts";
import { type Builder, run } from "./builder.ts";
import { checkAxis, checkDType, describe } from "./checks.ts";
import type { Broadcast, BroadcastError, Checked, DTypeError, Shape } from "./shape-types.ts";
import { callerOf } from "./site.ts";

declare const shapeKey: unique symbol;
declare const dtypeKey: unique symbol;

/** What elementwise functions take: a tensor, or a number, which gets the tensor's element type. */
export type Operand = Tensor | number;

export type ShapeOf<T> = T extends Tensor<infer S> ? S : readonly [];
export type DTypeOf<T> = T extends Tensor<Shape, infer D> ? D : DType;

/** Broadcasts two operands; the element type is the tensors'. */
export type Both<A, B> = Tensor<
  Broadcast<ShapeOf<A>, ShapeOf<B>>,
  A extends Tensor<Shape, infer D> ? D : B extends Tensor<Shape, infer D> ? D : DType
>;
export type Compared<A, B> = Tensor<Broadcast<ShapeOf<A>, ShapeOf<B>>, "bool">;

/** What keeps two operands apart; never where nothing does. */
export type PairError<Op extends string, A, B> = A extends Tensor
  ? B extends Tensor
    ? [DTypeError<Op, DTypeOf<A>, DTypeOf<B>>] extends [never]
      ? BroadcastError<Op, ShapeOf<A>, ShapeOf<B>>
      : DTypeError<Op, DTypeOf<A>, DTypeOf<B>>
    : never
  : never;

/**
 * An element of a tensor as mask and score functions read it, or what further indices read: how many axes there are is
 * checked when the model is built. Elements of bool tensors are typed as numbers too: where truth is
 * asked for, as in a `MaskFunction` of your own, write `!!seen[q][k]`.
 */
export type Rows = number & { readonly [axis: number]: Rows };

/**
 * A value of the model being declared. `S` and `D` are its shape and element type as far as the type checker knows
 * them; `shape` and `dtype` are what they are. Methods build: they compute nothing.
 */
export class Tensor<out S extends Shape = Shape, out D extends DType = DType> {
  /** Elements, as mask and score functions read them: `doc[b][q]`. There are none outside of these. */
  readonly [axis: number]: Rows;
  declare readonly [shapeKey]: S;
  declare readonly [dtypeKey]: D;
  /** The build this tensor belongs to. */
  readonly builder: Builder;
  /** The value it stands for in the IR. */
  readonly value: Value;

  constructor(builder: Builder, value: Value) {
    this.builder = builder;
    this.value = value;
  }

  get shape(): readonly Dim[] {
    return this.value.type.shape;
  }

  get dtype(): D {
    return this.value.type.dtype as D;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** The dimension of one axis; negative axes count from the end. Throws QKV110. */
  dim(axis: number): Dim {
    return run(this.dim, [this], () => this.shape[checkAxis(axis, this.rank, "dim")]!);
  }

  add<A extends Tensor, B extends Operand>(this: A, y: Checked<B, PairError<"add", A, B>>): Both<A, B> {
    return run(this.add, [this, y], (b) => elementwise(b, "add", [this, y]));
  }
  sub<A extends Tensor, B extends Operand>(this: A, y: Checked<B, PairError<"sub", A, B>>): Both<A, B> {
    return run(this.sub, [this, y], (b) => elementwise(b, "sub", [this, y]));
  }
  mul<A extends Tensor, B extends Operand>(this: A, y: Checked<B, PairError<"mul", A, B>>): Both<A, B> {
    return run(this.mul, [this, y], (b) => elementwise(b, "mul", [this, y]));
  }
  div<A extends Tensor, B extends Operand>(this: A, y: Checked<B, PairError<"div", A, B>>): Both<A, B> {
    return run(this.div, [this, y], (b) => elementwise(b, "div", [this, y]));
  }
  pow<A extends Tensor, B extends Operand>(this: A, y: Checked<B, PairError<"pow", A, B>>): Both<A, B> {
    return run(this.pow, [this, y], (b) => elementwise(b, "pow", [this, y]));
  }
  maximum<A extends Tensor, B extends Operand>(this: A, y: Checked<B, PairError<"maximum", A, B>>): Both<A, B> {
    return run(this.maximum, [this, y], (b) => elementwise(b, "max", [this, y]));
  }
  minimum<A extends Tensor, B extends Operand>(this: A, y: Checked<B, PairError<"minimum", A, B>>): Both<A, B> {
    return run(this.minimum, [this, y], (b) => elementwise(b, "min", [this, y]));
  }
  equal<A extends Tensor, B extends Operand>(this: A, y: Checked<B, PairError<"equal", A, B>>): Compared<A, B> {
    return run(this.equal, [this, y], (b) => elementwise(b, "equal", [this, y]));
  }
  less<A extends Tensor, B extends Operand>(this: A, y: Checked<B, PairError<"less", A, B>>): Compared<A, B> {
    return run(this.less, [this, y], (b) => elementwise(b, "less", [this, y]));
  }
  lessEqual<A extends Tensor, B extends Operand>(this: A, y: Checked<B, PairError<"lessEqual", A, B>>): Compared<A, B> {
    return run(this.lessEqual, [this, y], (b) => elementwise(b, "lessEqual", [this, y]));
  }
  neg(): Tensor<S, D> {
    return run(this.neg, [this], (b) => elementwise(b, "neg", [this]));
  }
  exp(): Tensor<S, D> {
    return run(this.exp, [this], (b) => elementwise(b, "exp", [this]));
  }
  log(): Tensor<S, D> {
    return run(this.log, [this], (b) => elementwise(b, "log", [this]));
  }
  sqrt(): Tensor<S, D> {
    return run(this.sqrt, [this], (b) => elementwise(b, "sqrt", [this]));
  }
  tanh(): Tensor<S, D> {
    return run(this.tanh, [this], (b) => elementwise(b, "tanh", [this]));
  }
  sigmoid(): Tensor<S, D> {
    return run(this.sigmoid, [this], (b) => elementwise(b, "sigmoid", [this]));
  }
  abs(): Tensor<S, D> {
    return run(this.abs, [this], (b) => elementwise(b, "abs", [this]));
  }
  /** The same numbers in another element type. */
  cast<To extends DType>(dtype: To): Tensor<S, To> {
    return run(this.cast, [this], (b) => castTo(b, this, dtype));
  }

  /** `x + 1` or `x > 0` cannot build anything: JavaScript would compute with the object. Throws QKV119. */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === "string") return showType(this.value.type);
    const location = callerOf(this[Symbol.toPrimitive]);
    return fail("QKV119", "a tensor was used as a JavaScript number", {
      ...(location && { location }),
      notes: [showType(this.value.type)],
      help: "write x.add(1), x.mul(y), less(x, 0), where(condition, x, y): operators of JavaScript cannot build a model",
    });
  }
}

/** The tensor an author passed. Throws QKV106 for anything else, QKV105 for a tensor of another build. */
export function asTensor(builder: Builder, x: unknown, what: string): Tensor {
  if (!(x instanceof Tensor)) return fail("QKV106", `${what} is ${describe(x)}, not a tensor`, hintAt(x));
  if (x.builder === builder) return x;
  return fail(
    "QKV105",
    `${what} belongs to another build${x.builder.model === builder.model ? "" : ` (model "${x.builder.model}")`}`,
    {
      help: "declare it inside this model's body; tensors cannot be kept between builds",
    },
  );
}

const hintAt = (x: unknown) =>
  typeof x === "number" ? { help: "a number becomes a tensor with constant(number, dtype)" } : {};

/** The first result of `op`, as a tensor. */
export function apply(builder: Builder, op: OpName, operands: readonly Tensor[], attrs: object = {}): Tensor {
  const values = operands.map(({ value }) => value);
  return wrap(builder, builder.arena.node(op, values, attrs as Record<string, unknown>).results[0]!);
}

/** A value of the IR as a tensor, its place noted. */
export function wrap(builder: Builder, value: Value): Tensor {
  builder.note(value);
  return new Tensor(builder, value);
}

/** A rank-0 constant. */
export const scalar = (builder: Builder, value: number, dtype: DType): Tensor =>
  wrap(builder, builder.arena.build.scalar(value, dtype));

const operandNames = ["x", "y", "z"] as const;

/** Applies an elementwise op. Numbers become constants of the tensors' element type. Throws QKV106, QKV109. */
export function elementwise<T extends Tensor>(builder: Builder, op: OpName, operands: readonly unknown[]): T {
  const tensors = operands.filter((x) => typeof x !== "number");
  const first = asTensor(builder, tensors[0] ?? operands[0], "x");
  const all = operands.map((x, i) =>
    typeof x === "number"
      ? scalar(builder, numberFor(x, first.dtype), first.dtype)
      : asTensor(builder, x, operandNames[i] ?? "x"),
  );
  sameDType(all, op);
  checkBroadcast(all, op);
  return apply(builder, op, all) as T;
}

/** Throws QKV107 where shapes do not broadcast. */
function checkBroadcast(tensors: readonly Tensor[], op: string): void {
  const [x, y] = tensors;
  if (!x || !y || broadcastShapes(x.shape, y.shape)) return;
  const at = [...x.shape].reverse().findIndex((dim, i) => y.rank > i && !broadcastShapes([dim], [y.shape.at(-1 - i)!]));
  const sizes = [x, y].map(({ shape }) => show(shape.at(-1 - at)!));
  fail("QKV107", `${op}: shapes do not broadcast: ${sizes[0]} meets ${sizes[1]} at axis ${-1 - at}`, {
    notes: [`x: ${showType(x.value.type)}    y: ${showType(y.value.type)}`],
    help: "axes are aligned at the last; each pair is equal or has a 1: add axes with expandDims",
  });
}

/** Throws QKV109 where a number would lose its value in `dtype`. */
function numberFor(value: number, dtype: DType): number {
  if (isFloat(dtype) || Number.isSafeInteger(value)) return value;
  return fail("QKV109", `${value} cannot stand beside ${dtype}`, { help: 'cast the tensor first: x.cast("f32")' });
}

/** Throws QKV109 where element types differ. */
export function sameDType(tensors: readonly Tensor[], what: string): void {
  const types = [...new Set(tensors.map(({ dtype }) => dtype))];
  if (types.length > 1)
    fail("QKV109", `${what}: element types differ: ${types.join(" and ")}`, {
      notes: [tensors.map(({ value }) => showType(value.type)).join("    ")],
      help: `cast one of them: x.cast("${types[0]}")`,
    });
}

export function castTo<T extends Tensor>(builder: Builder, x: unknown, dtype: unknown): T {
  const tensor = asTensor(builder, x, "x");
  const to = checkDType(dtype, "the result");
  return (tensor.dtype === to ? tensor : apply(builder, "cast", [tensor], { to })) as T;
}
