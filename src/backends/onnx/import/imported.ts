import type { Arena } from "../../../ir/arena.ts";
import { type Dim, isStatic } from "../../../ir/dim.ts";
import type { DType } from "../../../ir/dtype.ts";
import type { Value } from "../../../ir/graph.ts";
import { fromNumbers } from "../../../ir/tensor.ts";
import type { TensorType } from "../../../ir/types.ts";
import { unmodelled } from "./unmodelled.ts";

/**
 * A tensor of the file whose type is known. Integers that stand for sizes are kept as dimensions: shape arithmetic then
 * needs no nodes, and gets one only where its result is used as data.
 */
export interface Imported {
  readonly type: TensorType;
  /** The elements, where all are known as dimensions: of a rank-0 or rank-1 tensor of integers or bools (0 and 1). */
  readonly contents?: readonly Dim[];
  /** The same of floats that are integers: sizes that were cast. */
  readonly whole?: readonly Dim[];
  /** Whether the elements are sizes of a tensor, none of them negative. */
  readonly areSizes?: true;
  /** The rows of a rank-2 tensor, where all elements are known: exporters turn lists of pads round in pairs. */
  readonly rows?: readonly (readonly Dim[])[];
  /** The tensor in the graph; made when first asked for. */
  value(): Value;
}

export const ofValue = (value: Value, contents?: readonly Dim[]): Imported => ({
  type: value.type,
  ...(contents && { contents }),
  value: () => value,
});

const beyond = Number.MAX_SAFE_INTEGER;

/** Integers that doubles do not hold say "as far as there is" in bounds of slices; they count as that and are never data. */
export const clampInteger = (value: number): number => Math.min(Math.max(value, -beyond), beyond);
const isClamped = (dim: Dim): boolean => isStatic(dim) && Math.abs(dim) === beyond;

/** Longer lists are data. */
export const contentsLimit = 256;

/** The elements of a rank-1 tensor, or the one of a scalar, as dimensions. */
export function ofContents(arena: Arena, dtype: DType, contents: readonly Dim[], rank: 0 | 1): Imported {
  let made: Value | undefined;
  return {
    type: { dtype, shape: rank === 0 ? [] : [contents.length] },
    contents,
    value: () => (made ??= materialise(arena, dtype, contents, rank)),
  };
}

/** Rows of equal length, one at least, as a rank-2 tensor. */
export function ofRows(arena: Arena, dtype: DType, rows: readonly (readonly Dim[])[]): Imported {
  const shape = [rows.length, rows[0]!.length];
  const value = () => arena.build.reshape(materialise(arena, dtype, rows.flat(), 1), { shape });
  return { type: { dtype, shape }, rows, value };
}

function materialise({ build: b }: Arena, dtype: DType, contents: readonly Dim[], rank: 0 | 1): Value {
  if (contents.some(isClamped)) return unmodelled("it uses an integer beyond 2^53 as data");
  const dims = rank === 0 ? [] : [contents.length];
  if (contents.every(isStatic)) return b.constant({ value: fromNumbers(dtype, dims, contents) });
  const elements = contents.map((of) => (isStatic(of) ? b.scalar(of, "i64") : b.size({ of })));
  const rows = elements.map((element) => b.reshape(element, { shape: [1] }));
  const list = rank === 0 ? elements[0]! : rows.length === 1 ? rows[0]! : b.concat(...rows, { axis: 0 });
  return dtype === "i64" ? list : b.cast(list, { to: dtype });
}
