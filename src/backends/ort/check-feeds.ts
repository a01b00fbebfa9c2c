import { fail } from "../../ir/diagnostics.ts";
import type { DType } from "../../ir/dtype.ts";
import { elementCount, type HostTensor } from "../../ir/tensor.ts";

/** An input or output of a loaded model. A dimension is its size, or the name of its symbol (empty where unnamed). */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}

const written = (shape: readonly (number | string)[]): string =>
  `[${shape.map((dim) => (dim === "" ? "?" : dim)).join(", ")}]`;

/**
 * Holds `feeds` against what the model declares: every input present, none extra, element types and dims equal, one
 * value per dimension symbol. Throws one QKV442 that lists every disagreement.
 */
export function checkFeeds(inputs: readonly TensorSpec[], feeds: ReadonlyMap<string, HostTensor>): void {
  const sizes = new Map<string, { readonly size: number; readonly where: string }>();
  const problems = inputs.flatMap((input) => inputProblems(input, feeds.get(input.name), sizes));
  const known = new Set(inputs.map(({ name }) => name));
  for (const name of feeds.keys()) if (!known.has(name)) problems.push(`input \`${name}\` is not one of the model's`);
  const first = problems[0];
  if (first === undefined) return;
  const expected = inputs.map(({ name, dtype, shape }) => `${name}: ${dtype}${written(shape)}`);
  fail("QKV442", first, {
    notes: [...problems.slice(1), `the model takes ${expected.length === 0 ? "no inputs" : expected.join(", ")}`],
  });
}

function inputProblems(
  { name, dtype, shape }: TensorSpec,
  tensor: HostTensor | undefined,
  sizes: Map<string, { readonly size: number; readonly where: string }>,
): string[] {
  const expected = `${dtype}${written(shape)}`;
  if (tensor === undefined) return [`input \`${name}\` is missing: expected ${expected}`];
  const given = `${tensor.dtype}${written(tensor.dims)}`;
  const mismatch = [`input \`${name}\`: expected ${expected}, given ${given}`];
  if (tensor.dtype !== dtype || tensor.dims.length !== shape.length) return mismatch;
  if (tensor.dims.some((size) => !Number.isInteger(size) || size < 0)) return mismatch;
  if (tensor.data.length !== elementCount(tensor.dims))
    return [`input \`${name}\`: ${given} with ${tensor.data.length} elements`];
  for (const [axis, dim] of shape.entries()) {
    const size = tensor.dims[axis]!;
    if (typeof dim === "number") {
      if (dim !== size) return mismatch;
      continue;
    }
    const bound = sizes.get(dim);
    if (dim === "") continue;
    if (bound === undefined) sizes.set(dim, { size, where: name });
    else if (bound.size !== size)
      return [`input \`${name}\`: dimension ${dim} is ${size}, but ${bound.size} in \`${bound.where}\``];
  }
  return [];
}
