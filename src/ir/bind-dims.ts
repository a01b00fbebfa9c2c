import { fail } from "./diagnostics.ts";
import { coefficients, type Dim, evaluate, show, substitute, symbolsOf, unify } from "./dim.ts";
import { showShape } from "./types.ts";

/** Sizes of symbols. */
export type DimBindings = ReadonlyMap<string, number>;

/** A declared shape and the dims of what was given for it. */
export interface ShapePair {
  readonly name: string;
  readonly shape: readonly Dim[];
  readonly dims: readonly number[];
}

/** Sizes of all symbols that follow from those known and from what dimensions are; contradictions are not looked for. */
export function solveDims(
  equations: readonly { readonly dim: Dim; readonly size: number }[],
  known: DimBindings = new Map(),
): DimBindings {
  const bindings = new Map<string, Dim>(known);
  for (let before = -1; bindings.size !== before; ) {
    before = bindings.size;
    for (const { dim, size } of equations) unify(dim, size, bindings);
  }
  return bindings as DimBindings;
}

/**
 * Finds the sizes of all symbols that follow from the given dims. Throws QKV242 where ranks or sizes contradict the
 * declared shapes or one another. Symbols nothing determines stay without a value.
 */
export function bindDims(pairs: readonly ShapePair[], preset: DimBindings = new Map()): DimBindings {
  const axes = pairs.flatMap((pair) => {
    if (pair.shape.length !== pair.dims.length)
      fail("QKV242", `"${pair.name}" is ${showShape(pair.shape)}, [${pair.dims.join(", ")}] was given`);
    return pair.shape.map((dim, axis) => ({ pair, dim, axis, size: pair.dims[axis]! }));
  });
  const sizes = solveDims(axes, preset);
  for (const { pair, dim, axis, size } of axes) {
    const determined = symbolsOf(dim).every((name) => sizes.has(name));
    if (!determined || evaluate(dim, sizes) === size) continue;
    const known = symbolsOf(dim).map((name) => `${name} = ${String(sizes.get(name))}`);
    fail("QKV242", `"${pair.name}" is ${showShape(pair.shape)}; axis ${axis} is ${size}, not ${show(dim)}`, {
      notes: known.length > 0 ? [`elsewhere ${known.join(", ")}`] : [],
    });
  }
  for (const { pair, dim, axis, size } of axes)
    if (hasNoSolution(dim, sizes))
      fail("QKV242", `"${pair.name}" is ${showShape(pair.shape)}; no size of its symbols makes axis ${axis} ${size}`);
  return sizes;
}

/** Linear in its only unknown and yet unsolved, such as `2*s` given 5 or `past + 1` given 0. */
function hasNoSolution(dim: Dim, bindings: ReadonlyMap<string, Dim>): boolean {
  const rest = substitute(dim, bindings);
  const [name, ...others] = symbolsOf(rest);
  return name !== undefined && others.length === 0 && coefficients(rest, name)?.length === 2;
}
