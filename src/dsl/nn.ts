import { fail } from "../ir/diagnostics.ts";
import { type Dim, divideExact, mul, show } from "../ir/dim.ts";
import type { DType } from "../ir/dtype.ts";
import { isFloat } from "../ir/dtype.ts";
import { showType } from "../ir/types.ts";
import { type Builder, run } from "./builder.ts";
import { checkAxis, checkName, checkOptions, describe, finite, positiveInteger } from "./checks.ts";
import { declareParam } from "./leaves.ts";
import type { GeluOptions } from "./math.ts";
import { permute, reshapeTo } from "./movement.ts";
import type { Checked, DimLike, Divide, IsWide, Keep, Multiply, ReplaceLast, Shape, Show } from "./shape-types.ts";
import { apply, asTensor, type DTypeOf, elementwise, type ShapeOf, type Tensor } from "./tensor.ts";

export interface LinearOptions {
  /** Prefix of the parameter names: `<name>.weight` and `<name>.bias`. */
  readonly name: string;
  /** Add a bias; true by default. */
  readonly bias?: boolean;
  /** How the weight lies in its file: `"out-in"` (the default, as checkpoints store it) or `"in-out"`. */
  readonly weightLayout?: "in-out" | "out-in";
  readonly weightName?: string;
  readonly biasName?: string;
}

/** x Wᵀ + b along the last axis, giving `out` features. Throws QKV101 to QKV103, QKV110, QKV120. */
export function linear<T extends Tensor, const N extends number>(
  x: T,
  out: N,
  options: LinearOptions,
): Tensor<ReplaceLast<ShapeOf<T>, N>, DTypeOf<T>> {
  return run(linear, [x, out], (b) => project(b, asTensor(b, x, "x"), out, options)) as never;
}

export function project(b: Builder, x: Tensor, out: number, options: LinearOptions): Tensor {
  const known = ["name", "bias", "weightLayout", "weightName", "biasName"];
  const { name, bias = true, weightLayout = "out-in", ...names } = checkOptions(options, known, "linear");
  b.label = checkName(name, "the name of a linear layer");
  positiveInteger(out, "the number of features");
  if (weightLayout !== "out-in" && weightLayout !== "in-out")
    fail("QKV120", `weightLayout is ${describe(weightLayout)}; it is "out-in" or "in-out"`);
  const width = features(x, "linear");
  const outIn = weightLayout === "out-in";
  const dtype = floatOf(x, "linear");
  const weight = declareParam(b, names.weightName ?? `${name}.weight`, outIn ? [out, width] : [width, out], { dtype });
  const rows = x.shape
    .slice(0, -1)
    .map((_, i) => `r${i}`)
    .join(" ");
  const spec = `${rows} i, ${outIn ? "o i" : "i o"} -> ${rows} o`;
  const y = apply(b, "contract", [x, weight], { spec: spec.trim() });
  if (!bias) return y;
  return elementwise(b, "add", [y, declareParam(b, names.biasName ?? `${name}.bias`, [out], { dtype, init: "zeros" })]);
}

/** The integer length of the last axis. Throws QKV110 where there is none. */
export function features(x: Tensor, what: string): number {
  const last = x.shape.at(-1);
  if (typeof last === "number") return last;
  return fail(
    "QKV110",
    `${what}: the last axis of x is ${last === undefined ? "missing" : show(last)}, not an integer`,
    {
      notes: [`x: ${showType(x.value.type)}`],
      help: "weights have fixed sizes; put the features last",
    },
  );
}

function floatOf(x: Tensor, what: string): DType {
  if (isFloat(x.dtype)) return x.dtype;
  return fail("QKV109", `${what}: x is ${x.dtype}, not floating point`, { help: 'write x.cast("f32")' });
}

export interface NormOptions {
  /** Prefix of the parameter names: `<name>.weight` and, for layerNorm, `<name>.bias`. */
  readonly name: string;
  /** Added to the variance; 1e-5 by default. */
  readonly epsilon?: number;
  /** layerNorm only: has a bias; true by default. */
  readonly bias?: boolean;
  /** Added to the weight: 1 where a checkpoint stores what the weight differs from 1. 0 by default. */
  readonly offset?: number;
}

function normalise(b: Builder, op: "layerNorm" | "rmsNorm", x: Tensor, options: NormOptions): Tensor {
  const known = ["name", "epsilon", "offset", ...(op === "layerNorm" ? ["bias"] : [])];
  const { name, epsilon = 1e-5, bias = op === "layerNorm", offset = 0 } = checkOptions(options, known, op);
  b.label = checkName(name, `the name of a ${op}`);
  if (finite(epsilon, "epsilon") <= 0) fail("QKV120", `epsilon is ${epsilon}; it must be positive`);
  const dims = [features(x, op)];
  const dtype = floatOf(x, op);
  const weight = declareParam(b, `${name}.weight`, dims, { dtype, init: offset === 0 ? "ones" : "zeros" });
  const gains = [offset === 0 ? weight : elementwise<Tensor>(b, "add", [weight, finite(offset, "offset")])];
  if (bias) gains.push(declareParam(b, `${name}.bias`, dims, { dtype, init: "zeros" }));
  return apply(b, op, [x, ...gains], { epsilon });
}

/** (x - mean) / √(variance + ε) · (weight + offset) + bias over the last axis (Ba et al., arXiv:1607.06450). */
export function layerNorm<T extends Tensor>(x: T, options: NormOptions): T {
  return run(layerNorm, [x], (b) => normalise(b, "layerNorm", asTensor(b, x, "x"), options)) as T;
}
/** x / √(mean x² + ε) · (weight + offset) over the last axis (Zhang & Sennrich, arXiv:1910.07467). */
export function rmsNorm<T extends Tensor>(x: T, options: Omit<NormOptions, "bias">): T {
  return run(rmsNorm, [x], (b) => normalise(b, "rmsNorm", asTensor(b, x, "x"), options)) as T;
}

export interface L2Options {
  /** Axis whose vectors get length 1; the last by default. */
  readonly axis?: number;
  /** Vectors shorter than this stay short; 1e-12 by default. */
  readonly epsilon?: number;
}

/** x / max(‖x‖, ε) along an axis: vectors of length 1. Throws QKV109, QKV110, QKV120. */
export function l2Normalise<T extends Tensor>(x: T, options?: L2Options): T {
  return run(l2Normalise, [x], (b) => {
    const tensor = asTensor(b, x, "x");
    const { axis = -1, epsilon = 1e-12 } = checkOptions(options, ["axis", "epsilon"], "l2Normalise");
    floatOf(tensor, "l2Normalise");
    if (finite(epsilon, "epsilon") <= 0) fail("QKV120", `epsilon is ${epsilon}; it must be positive`);
    const along = { axes: [checkAxis(axis, tensor.rank, "l2Normalise")], keepDims: true };
    const square = elementwise<Tensor>(b, "mul", [tensor, tensor]);
    const length = elementwise<Tensor>(b, "sqrt", [apply(b, "reduceSum", [square], along)]);
    return elementwise(b, "div", [tensor, elementwise(b, "max", [length, epsilon])]);
  }) as T;
}

/** x · Φ(x), Φ the normal distribution function, or its tanh approximation (arXiv:1606.08415). */
export function gelu<T extends Tensor>(x: T, options?: GeluOptions): T {
  return run(gelu, [x], (b) => {
    const { approximate = "none" } = checkOptions(options, ["approximate"], "gelu");
    if (approximate !== "none" && approximate !== "tanh")
      fail("QKV120", `gelu: approximate is ${describe(approximate)}; it is "none" or "tanh"`);
    return apply(b, "gelu", [asTensor(b, x, "x")], { approximate });
  }) as T;
}

export interface EmbeddingOptions<D extends DType = DType> {
  /** Prefix of the parameter name: `<name>.weight`. */
  readonly name: string;
  readonly dtype?: D;
}

type Embedded<S extends Shape, N> = IsWide<S> extends true ? Shape : readonly [...S, Keep<N>];

type IdsError<D> = D & ("i64" | "i32") extends never
  ? `embedding: ids are ${D & string}; they must be i64 or i32`
  : never;

/** Rows of a [vocab, dim] table picked by ids (i64 or i32). Throws QKV101 to QKV103, QKV109. */
export function embedding<T extends Tensor, const N extends number, D extends DType = "f32">(
  ids: Checked<T, IdsError<DTypeOf<T>>>,
  vocab: number,
  dim: N,
  options: EmbeddingOptions<D>,
): Tensor<Embedded<ShapeOf<T>, N>, D> {
  return run(embedding, [ids], (b) => {
    const { name, dtype = "f32" } = checkOptions(options, ["name", "dtype"], "embedding");
    const indices = asTensor(b, ids, "ids");
    b.label = checkName(name, "the name of an embedding");
    if (indices.dtype !== "i64" && indices.dtype !== "i32")
      fail("QKV109", `embedding: ids are ${indices.dtype}; they must be i64 or i32`);
    const rows = positiveInteger(vocab, "the size of the vocabulary");
    const table = declareParam(b, `${name}.weight`, [rows, positiveInteger(dim, "the width")], { dtype });
    return apply(b, "gather", [table, indices], { axis: 0 });
  }) as never;
}

type HeadsShape<S extends Shape, N> =
  IsWide<S> extends true
    ? Shape
    : S extends readonly [infer B extends DimLike, infer L extends DimLike, infer D]
      ? readonly [B, Keep<N>, L, Keep<Divide<D, N>>]
      : Shape;
type HeadsError<S extends Shape, N> =
  IsWide<S> extends true
    ? never
    : S extends readonly [DimLike, DimLike, infer D]
      ? Divide<D, N> extends "remainder"
        ? `heads: ${Show<N>} heads do not divide ${Show<D>} features`
        : never
      : `heads: x must be [batch, seq, features]`;

/** [batch, seq, features] as [batch, n, seq, features / n]. Throws QKV101, QKV108, QKV110. */
export function heads<T extends Tensor, const N extends number>(
  x: T,
  n: Checked<N, HeadsError<ShapeOf<T>, N>>,
): Tensor<HeadsShape<ShapeOf<T>, N>, DTypeOf<T>> {
  return run(heads, [x, n], (b) => splitHeads(b, asTensor(b, x, "x"), n as number)) as never;
}

export function splitHeads(b: Builder, x: Tensor, n: number): Tensor {
  positiveInteger(n, "the number of heads");
  if (x.rank !== 3)
    fail("QKV110", `heads: x has ${x.rank} axes; it must be [batch, seq, features]`, {
      notes: [`x: ${showType(x.value.type)}`],
    });
  const [batch, length, width] = x.shape as [Dim, Dim, Dim];
  const each = divideExact(width, n);
  if (each === undefined)
    return fail("QKV108", `heads: ${n} heads do not divide ${show(width)} features`, {
      notes: [`x: ${showType(x.value.type)}`],
    });
  return permute(b, reshapeTo(b, x, [batch, length, n, each]), [0, 2, 1, 3]);
}

type MergeShape<S extends Shape> =
  IsWide<S> extends true
    ? Shape
    : S extends readonly [infer B extends DimLike, infer H, infer L extends DimLike, infer D]
      ? readonly [B, L, Keep<Multiply<D, H>>]
      : Shape;

/** [batch, heads, seq, width] as [batch, seq, heads · width]: the inverse of `heads`. Throws QKV110. */
export function merge<T extends Tensor>(x: T): Tensor<MergeShape<ShapeOf<T>>, DTypeOf<T>> {
  return run(merge, [x], (b) => mergeHeads(b, asTensor(b, x, "x"))) as never;
}

export function mergeHeads(b: Builder, x: Tensor): Tensor {
  if (x.rank !== 4)
    fail("QKV110", `merge: x has ${x.rank} axes; it must be [batch, heads, seq, width]`, {
      notes: [`x: ${showType(x.value.type)}`],
    });
  const [batch, n, length, width] = x.shape as [Dim, Dim, Dim, Dim];
  return reshapeTo(b, permute(b, x, [0, 2, 1, 3]), [batch, length, mul(n, width)]);
}
