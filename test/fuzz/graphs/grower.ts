import { type Dim, evaluate } from "../../../src/ir/dim.ts";
import { type DType, isFloat, isInteger } from "../../../src/ir/dtype.ts";
import { evaluateValues } from "../../../src/ir/evaluate.ts";
import type { Value } from "../../../src/ir/graph.ts";
import type { RefTensor } from "../../../src/ir/op-def.ts";
import { elementCount, fromNumbers, toFloat64 } from "../../../src/ir/tensor.ts";
import { broadcastShapes, sameShape, type TensorType } from "../../../src/ir/types.ts";
import type { Draw } from "../../pipeline/support/draw.ts";
import { feedFor, type Maker, maker, weightFor } from "../../pipeline/support/random-model.ts";

type Fits = (type: TensorType) => boolean;

/** A maker that holds values to build on, each known to be a number at every place for one set of inputs. */
export interface Grower extends Maker {
  readonly sizes: ReadonlyMap<string, number>;
  readonly pool: readonly Value[];
  /** Takes a value into the pool; false where it is there already, too large, of a negative extent, or holds what is no number. */
  admit(value: Value): boolean;
  /** A value of the pool that fits. */
  some(fits: Fits): Value | undefined;
  /** A value of this type: of the pool, or a new input, parameter or constant. */
  of(dtype: DType, shape: readonly Dim[]): Value;
  /** A value that broadcasts with one of this type, and has its element type. */
  beside(type: TensorType): Value;
  /** How many elements a shape has at this maker's sizes. */
  count(shape: readonly Dim[]): number;
}

const sizeChoices = [1, 2, 3, 5, 7];
const mostElements = 4096;

/** What a value may hold, so that neither sums of a few products nor casts leave the numbers its type has. */
const greatest: Readonly<Record<DType, number>> = {
  f64: 1e4,
  f32: 1e4,
  f16: 1e2,
  bf16: 1e2,
  i64: 2 ** 20,
  i32: 2 ** 20,
  i8: 100,
  u8: 100,
  bool: 1,
};

/** Whether a run may go on from this value: NNSmith's condition (Liu et al., arXiv:2207.13066), with a bound on top. */
export const isSound = (dtype: DType, data: Float64Array): boolean =>
  data.every((x) => Math.abs(x) <= greatest[dtype] && (dtype !== "u8" || x >= 0));

export function grower(seed: number): Grower {
  const m = maker(seed);
  const { draw } = m;
  const sizes = new Map(["B", "S", "P"].map((name) => [name, draw.pick(sizeChoices)]));
  const known = new Map<Value, RefTensor>();
  const pool: Value[] = [];
  const count = (shape: readonly Dim[]) => elementCount(shape.map((dim) => evaluate(dim, sizes)));
  const exists = ({ node }: Value) =>
    node.results.every(({ type }) => type.shape.every((dim) => evaluate(dim, sizes) >= 0));
  const weights = new Map<string, Value>();
  const param = (dtype: DType, shape: readonly number[]) => {
    const value = m.b.param({ name: `w${weights.size}`, dtype, shape, init: "normal" });
    weights.set(`w${weights.size}`, value);
    return value;
  };
  const evaluated = (value: Value): RefTensor | undefined => {
    for (const input of m.inputs)
      if (!known.has(input)) {
        const { dims, ...tensor } = feedFor(input, sizes, seed);
        known.set(input, { dims, data: toFloat64({ dims, ...tensor }) });
      }
    const read = (name: string) => weightFor(weights.get(name)!);
    return evaluateValues([value], { inputs: known, dims: sizes, weights: { read } })[0];
  };
  const leaf = (dtype: DType, shape: readonly Dim[]): Value => {
    const fixed = shape.every((dim) => typeof dim === "number");
    const made = fixed && isFloat(dtype) && draw.chance(0.5) ? param(dtype, shape as readonly number[]) : undefined;
    if (!made && fixed && draw.chance(0.3)) return constant(m, dtype, shape as readonly number[]);
    return made ?? m.input(dtype, shape);
  };
  const some = (fits: Fits) => {
    const found = pool.filter(({ type }) => fits(type));
    return found.length > 0 ? draw.pick(found) : undefined;
  };
  const self: Grower = {
    ...m,
    param: (shape) => param("f32", shape),
    sizes,
    pool,
    count,
    some,
    admit(value) {
      if (known.has(value) || !exists(value) || count(value.type.shape) > mostElements) return false;
      const tensor = evaluated(value)!;
      if (!isSound(value.type.dtype, tensor.data)) return false;
      known.set(value, tensor);
      pool.push(value);
      return true;
    },
    of(dtype, shape) {
      const found = draw.chance(0.5) ? some((t) => t.dtype === dtype && sameShape(t.shape, shape)) : undefined;
      return found ?? leaf(dtype, shape);
    },
    beside({ dtype, shape }) {
      if (draw.chance(0.25)) return number(m, dtype);
      const found = draw.chance(0.7) ? some((t) => t.dtype === dtype && joins(t.shape, shape)) : undefined;
      return found ?? leaf(dtype, stretching(draw, shape));
    },
  };
  function joins(a: readonly Dim[], b: readonly Dim[]) {
    const common = broadcastShapes(a, b);
    return common !== undefined && count(common) <= mostElements;
  }
  return self;
}

/** A shape that stretches to this one: leading axes left out, others 1. */
const stretching = (draw: Draw, shape: readonly Dim[]): readonly Dim[] =>
  shape.slice(draw.chance(0.5) ? draw.int(0, shape.length) : 0).map((dim) => (draw.chance(0.25) ? 1 : dim));

const simple = [0, 1, -1, 2, 0.5, 3, -0.25, 0.1];

/** A rank-0 constant: mostly one that rules look for. */
export const number = ({ b, draw }: Maker, dtype: DType): Value =>
  b.scalar(isFloat(dtype) ? draw.pick(simple) : draw.int(0, dtype === "bool" ? 1 : 3), dtype);

function constant({ b, draw }: Maker, dtype: DType, shape: readonly number[]): Value {
  const values = Array.from({ length: elementCount(shape) }, () => {
    if (isInteger(dtype)) return draw.int(0, 4);
    return dtype === "bool" ? draw.int(0, 1) : draw.int(-8, 8) / 4;
  });
  return b.constant({ value: fromNumbers(dtype, shape, values) });
}
