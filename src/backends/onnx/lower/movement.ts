import { add, type Dim, isStatic, symbolsOf } from "../../../ir/dim.ts";
import type { movement } from "../../../ir/ops/movement.ts";
import { axisFromFirst, sameShape } from "../../../ir/types.ts";
import type { LowerContext, Lowerings } from "./lowering.ts";
import { int, type Ref } from "./ref.ts";
import { reshape, slice, transpose } from "./shape.ts";

function broadcast({ e, operands: [x], type }: LowerContext<"broadcast">): Ref {
  if (sameShape(x!.type.shape, type.shape)) return x!;
  return e.op(type, "Expand", [x!, e.vector(type.shape)]);
}

function split({ e, node, operands: [x], attrs }: LowerContext<"split">): readonly (Ref | undefined)[] {
  const { sizes } = attrs;
  const axis = axisFromFirst(attrs.axis, x!.type.shape.length);
  if (sizes.length === 1) return [x!];
  const used = node.results.filter((value) => e.isUsed(value));
  if (used.length === 1) {
    const { index, type } = used[0]!;
    const start = sizes.slice(0, index).reduce(add, 0 as Dim);
    return node.results.map((_, i) =>
      i === index ? slice(e, x!, axis, start, add(start, sizes[index]!), type.shape) : undefined,
    );
  }
  // Every part but a whole number of equal ones is given by size.
  const types = node.results.map(({ type }) => type);
  return e.ops(types, "Split", [x!, e.vector(sizes)], { axis: int(axis) });
}

function pad({ e, operands: [x], attrs, type }: LowerContext<"pad">): Ref {
  const { shape, dtype } = x!.type;
  if (attrs.low === 0 && attrs.high === 0) return x!;
  const axis = axisFromFirst(attrs.axis, shape.length);
  const at = (dim: Dim) => shape.map((_, i) => (i === axis ? dim : 0));
  const amounts = e.vector([...at(attrs.low), ...at(attrs.high)]);
  return e.op(type, "Pad", [x!, amounts, e.scalar(dtype, attrs.value)]);
}

function concat({ e, operands, attrs, type }: LowerContext<"concat">): Ref {
  if (operands.length === 1) return operands[0]!;
  return e.op(type, "Concat", operands, { axis: int(axisFromFirst(attrs.axis, type.shape.length)) });
}

/**
 * Written out where it says of a dimension what number it is, by which the runtime chooses kernels. Not where a symbol is
 * bound, which has no size but that of `x` itself; nor of 0, which shape inference refuses beside sizes it does not know.
 */
function refine({ e, operands: [x], attrs: { shape }, type }: LowerContext<"refine">): Ref {
  const tells = shape.some((dim, axis) => isStatic(dim) && dim !== x!.type.shape[axis]) && !shape.includes(0);
  const known = tells && shape.flatMap(symbolsOf).every((name) => e.shapes.knows(name));
  return known ? e.op(type, "Reshape", [x!, e.vector(shape)]) : e.op(type, "Identity", [x!]);
}

export const movementLowerings: Lowerings<keyof typeof movement> = {
  reshape: ({ e, operands: [x], attrs }) => reshape(e, x!, attrs.shape),
  refine,
  transpose: ({ e, operands: [x], attrs }) => transpose(e, x!, attrs.perm),
  broadcast,
  slice: ({ e, operands: [x], attrs, type }) =>
    slice(e, x!, axisFromFirst(attrs.axis, type.shape.length), attrs.start, attrs.end, type.shape),
  concat,
  split,
  pad,
};
