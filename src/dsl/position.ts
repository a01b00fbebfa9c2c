import { fail } from "../ir/diagnostics.ts";
import { type Dim, show } from "../ir/dim.ts";
import { type DType, isFloat } from "../ir/dtype.ts";
import { fromNumbers } from "../ir/tensor.ts";
import { showType } from "../ir/types.ts";
import { type Builder, run } from "./builder.ts";
import { checkDType, checkName, checkOptions, describe, finite, positiveInteger, toDim } from "./checks.ts";
import { declareParam } from "./leaves.ts";
import { cut, reshapeTo } from "./movement.ts";
import type { DimLike, Dims } from "./shape-types.ts";
import { apply, asTensor, castTo, elementwise, scalar, type Tensor, wrap } from "./tensor.ts";

export interface PositionOptions<D extends DType = DType> {
  readonly dtype?: D;
}

/**
 * The index matrix: rows × n, zero but for 0, 1, 2, … on its diagonal. Column j tells token j apart. Square unless
 * `rows` is given: with tokens as columns, [rows, n] is added where rows ≥ n, and n rows are stacked above otherwise.
 */
export function indexMatrix<const N extends DimLike, const R extends DimLike = N, D extends DType = "f32">(
  n: N,
  rows?: R,
  options?: PositionOptions<D>,
): Tensor<Dims<readonly [R, N]>, D> {
  return run(indexMatrix, [], (b) => {
    const { dtype = "f32" } = checkOptions(options, ["dtype"], "indexMatrix");
    const tokens = toDim(n, "the number of tokens");
    const height = rows === undefined ? tokens : toDim(rows, "the number of rows");
    const columns = apply(b, "iota", [], { size: tokens, dtype: "i64" });
    const index = reshapeTo(b, apply(b, "iota", [], { size: height, dtype: "i64" }), [height, 1]);
    const onDiagonal = apply(b, "equal", [index, reshapeTo(b, columns, [1, tokens])]);
    const values = castTo(b, reshapeTo(b, columns, [1, tokens]), checkDType(dtype, "indexMatrix"));
    return apply(b, "select", [onDiagonal, values as Tensor, scalar(b, 0, dtype)]);
  }) as never;
}

export interface SinusoidalOptions<D extends DType = DType> extends PositionOptions<D> {
  /** Base of the wavelengths; 10000 by default. */
  readonly base?: number;
}

/** base^(-2i/d) for i = 0 … d/2 - 1. */
const geometric = (d: number, base: number): readonly number[] =>
  Array.from({ length: d / 2 }, (_, i) => base ** ((-2 * i) / d));

/** position · frequency, as [..., frequencies] in f32 or wider. */
function angles(b: Builder, positions: Tensor, frequencies: readonly number[]): Tensor {
  const dtype = positions.dtype;
  const row = wrap(b, b.arena.build.constant({ value: fromNumbers(dtype, [frequencies.length], frequencies) }));
  return elementwise(b, "mul", [reshapeTo(b, positions, [...positions.shape, 1]), row]);
}

const wide = (dtype: DType): DType => (dtype === "f64" ? "f64" : "f32");

function evenWidth(d: unknown, what: string): number {
  const width = positiveInteger(d, `the width of ${what}`);
  return width % 2 === 0
    ? width
    : fail("QKV112", `${what}: the width ${width} is odd`, { help: "positions turn pairs: give an even width" });
}

/**
 * Sinusoidal positions (Vaswani et al., arXiv:1706.03762), [seq, d]: sin(p / base^(2i/d)) at 2i, cos at 2i + 1.
 * Throws QKV101, QKV112, QKV120.
 */
export function sinusoidal<const N extends DimLike, const W extends number, D extends DType = "f32">(
  seq: N,
  d: W,
  options?: SinusoidalOptions<D>,
): Tensor<Dims<readonly [N, W]>, D> {
  return run(sinusoidal, [], (b) => {
    const { dtype = "f32", base = 10_000 } = checkOptions(options, ["dtype", "base"], "sinusoidal");
    const width = evenWidth(d, "sinusoidal");
    const length = toDim(seq, "the length");
    const positions = apply(b, "iota", [], { size: length, dtype: wide(checkDType(dtype, "sinusoidal")) });
    const turn = angles(b, positions, geometric(width, finite(base, "base")));
    const columns = (["sin", "cos"] as const).map((op) => reshapeTo(b, apply(b, op, [turn]), [length, width / 2, 1]));
    return castTo(b, reshapeTo(b, apply(b, "concat", columns, { axis: 2 }), [length, width]), dtype);
  }) as never;
}

export interface LearnedOptions<D extends DType = DType> extends PositionOptions<D> {
  /** Prefix of the parameter name: `<name>.weight`. */
  readonly name: string;
  /** Rows of the table: the longest sequence. */
  readonly max: number;
}

/** Learned positions: the first `seq` rows of a [max, d] table. Throws QKV101 to QKV103, QKV120. */
export function learnedPositions<const N extends DimLike, const W extends number, D extends DType = "f32">(
  seq: N,
  d: W,
  options: LearnedOptions<D>,
): Tensor<Dims<readonly [N, W]>, D> {
  return run(learnedPositions, [], (b) => {
    const { name, max, dtype = "f32" } = checkOptions(options, ["name", "max", "dtype"], "learnedPositions");
    b.label = checkName(name, "the name of the positions");
    const length = toDim(seq, "the length");
    const rows = positiveInteger(max, "max");
    if (typeof length === "number" && length > rows)
      fail("QKV107", `learnedPositions: ${length} positions are wanted, the table has ${rows}`);
    const table = declareParam(b, `${name}.weight`, [rows, positiveInteger(d, "the width")], { dtype });
    return cut(b, table, 0, 0, length);
  }) as never;
}

export interface RopeOptions {
  /** Base of the wavelengths; 10000 by default. */
  readonly theta?: number;
  /** Angle each pair turns by from one position to the next, width/2 of them; theta^(-2i/d) by default. */
  readonly frequencies?: readonly number[];
  /** Position of each token, [seq] or [batch, seq], i64 or i32; 0, 1, … by default. */
  readonly positions?: Tensor;
  /** Pairs are neighbours (2i, 2i + 1) instead of halves (i, i + d/2). */
  readonly interleaved?: boolean;
  /** Cosines and sines of the angles themselves, [.., d/2] and broadcasting to x, in place of `theta` and `positions`. */
  readonly angles?: { readonly cos: Tensor; readonly sin: Tensor };
}

/**
 * Rotary positions (Su et al., arXiv:2104.09864): turns pairs of the last axis by position · theta^(-2i/d). x is
 * [batch, heads, seq, width], [heads, seq, width] or [seq, width]. Throws QKV109, QKV110, QKV112, QKV120.
 */
export function rope<T extends Tensor>(x: T, options?: RopeOptions): T {
  return run(rope, [x], (b) => {
    const tensor = asTensor(b, x, "x");
    const given = checkOptions(options, ["theta", "frequencies", "positions", "interleaved", "angles"], "rope");
    const { theta = 10_000, interleaved = false, angles: known } = given;
    if (tensor.rank < 2) fail("QKV110", `rope: x has ${tensor.rank} axes; it must be [..., seq, width]`);
    if (!isFloat(tensor.dtype)) fail("QKV109", `rope: x is ${tensor.dtype}, not floating point`);
    const last = tensor.shape.at(-1)!;
    if (typeof last !== "number") return fail("QKV112", `rope: the width ${show(last)} is no integer`);
    const width = evenWidth(last, "rope");
    if (known) {
      if (given.theta !== undefined || given.frequencies !== undefined || given.positions !== undefined)
        fail("QKV120", "rope: angles are given, and what they would be computed from too");
      const { cos, sin } = checkOptions(known, ["cos", "sin"], "the angles of rope");
      const turns = [asTensor(b, cos, "cos"), asTensor(b, sin, "sin")];
      return apply(b, "rope", [tensor, ...turns], { interleaved });
    }
    const frequencies = checkFrequencies(given.frequencies ?? geometric(width, finite(theta, "theta")), width);
    const turn = angles(b, positionsOf(b, tensor, given.positions), frequencies);
    const [cos, sin] = (["cos", "sin"] as const).map((op) => castTo(b, apply(b, op, [turn]), tensor.dtype) as Tensor);
    return apply(b, "rope", [tensor, cos!, sin!], { interleaved });
  }) as T;
}

function checkFrequencies(frequencies: readonly number[], width: number): readonly number[] {
  if (!Array.isArray(frequencies) || frequencies.length !== width / 2)
    fail("QKV120", `rope: ${describe(frequencies)} is no list of ${width / 2} frequencies, one for each pair`);
  for (const frequency of frequencies) finite(frequency, "a frequency");
  return frequencies;
}

/** Positions as floats, shaped to broadcast along x without its last axis. */
function positionsOf(b: Builder, x: Tensor, given: Tensor | undefined): Tensor {
  const dtype = wide(x.dtype);
  const length = x.shape.at(-2)!;
  if (given === undefined) return apply(b, "iota", [], { size: length, dtype });
  const positions = asTensor(b, given, "positions");
  if (positions.dtype !== "i64" && positions.dtype !== "i32")
    fail("QKV109", `rope: positions are ${positions.dtype}; they must be i64 or i32`);
  const perBatch = positions.rank === 2 && x.rank === 4;
  const fits =
    positions.shape.at(-1) === length && (positions.rank === 1 || (perBatch && positions.shape[0] === x.shape[0]));
  if (!fits)
    fail("QKV107", `rope: positions ${showType(positions.value.type)} do not fit x ${showType(x.value.type)}`, {
      help: `they are [${show(length)}], or [batch, ${show(length)}] for a rank-4 x`,
    });
  const shaped: readonly Dim[] = perBatch ? [positions.shape[0]!, 1, length] : positions.shape;
  return reshapeTo(b, castTo(b, positions, dtype), shaped);
}
