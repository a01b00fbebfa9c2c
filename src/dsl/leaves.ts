import { fail } from "../ir/diagnostics.ts";
import type { DType } from "../ir/dtype.ts";
import { fromNumbers } from "../ir/tensor.ts";
import { showType } from "../ir/types.ts";
import { activeBuilder, authored, type Builder, run } from "./builder.ts";
import { checkDType, checkName, checkOptions, describe, toDim, toDims } from "./checks.ts";
import type { DimLike, Dims, Shape } from "./shape-types.ts";
import { apply, type Tensor, wrap } from "./tensor.ts";

/**
 * A tensor given at run time. `dims` are integers and named sizes, which agree wherever the name occurs.
 * Throws QKV101 to QKV103 and QKV109.
 */
export function input<D extends DType, const S extends Shape>(name: string, dtype: D, dims: S): Tensor<Dims<S>, D> {
  return run(input, [], (b) => declareInput(b, name, dtype, dims)) as never;
}

export interface OptionalInputOptions {
  /** Declared where a build does not say which inputs it will be given; false by default. */
  readonly present?: boolean;
}

/**
 * An input that runs may leave out, such as a padding mask: undefined in a build without it. A file has all the inputs
 * it was built with, and no others; `qkv run` builds with those it is given. Throws what `input` throws.
 */
export function optionalInput<D extends DType, const S extends Shape>(
  name: string,
  dtype: D,
  dims: S,
  options?: OptionalInputOptions,
): Tensor<Dims<S>, D> | undefined {
  return run(optionalInput, [], (b) => {
    const { present = false } = checkOptions(options, ["present"], "optionalInput");
    return (b.given?.has(name) ?? present) ? declareInput(b, name, dtype, dims) : undefined;
  }) as never;
}

function declareInput(b: Builder, name: string, dtype: DType, dims: Shape): Tensor {
  checkName(name, "the name of an input");
  const shape = toDims(dims, `input "${name}"`);
  const attrs = { name, dtype: checkDType(dtype, `input "${name}"`), shape };
  refuseTwice(b, b.inputs, "input", name);
  const tensor = apply(b, "input", [], attrs);
  b.inputs.set(name, tensor.value);
  return tensor;
}

export interface ParamOptions<D extends DType = DType> {
  /** Element type the model computes in; f32 by default. Weights in another float type are converted. */
  readonly dtype?: D;
  /** How it starts without weights; `"normal"` by default. */
  readonly init?: "normal" | "xavier" | "zeros" | "ones";
}

const inits = ["normal", "xavier", "zeros", "ones"];

/**
 * A trained tensor, bound by its name (after the prefixes of `scope`) when weights are loaded. Dims are integers.
 * Throws QKV101 to QKV103, QKV109, QKV120.
 */
export function param<const S extends readonly DimLike[], D extends DType = "f32">(
  name: string,
  dims: S,
  options?: ParamOptions<D>,
): Tensor<Dims<S>, D> {
  return run(param, [], (b) => declareParam(b, name, dims, options)) as never;
}

export function declareParam(b: Builder, name: string, dims: readonly DimLike[], options?: ParamOptions): Tensor {
  const { dtype = "f32", init = "normal" } = checkOptions(options, ["dtype", "init"], "param");
  checkName(name, "the name of a parameter");
  const full = b.prefix + name;
  checkName(full, "the name of a parameter");
  const shape = toDims(dims, `parameter "${full}"`);
  if (!inits.includes(init)) fail("QKV120", `init is ${describe(init)}`, { help: `choose of ${inits.join(", ")}` });
  const symbolic = shape.findIndex((dim) => typeof dim !== "number");
  if (symbolic >= 0)
    fail("QKV101", `dimension ${symbolic + 1} of parameter "${full}" is not an integer: ${describe(dims[symbolic])}`, {
      help: "weights have fixed sizes; only inputs have named ones",
    });
  refuseTwice(b, b.params, "parameter", full);
  const tensor = apply(b, "param", [], { name: full, dtype: checkDType(dtype, `parameter "${full}"`), shape, init });
  b.params.set(full, tensor.value);
  return tensor;
}

function refuseTwice(b: Builder, taken: Builder["inputs"], kind: string, name: string): void {
  const other = b.inputs.get(name) ?? b.params.get(name);
  if (!other) return;
  const same = taken.has(name);
  fail("QKV103", same ? `the ${kind} "${name}" is declared twice` : `"${name}" is both an input and a parameter`, {
    notes: [`the first is ${showType(other.type)}`],
    help:
      kind === "parameter"
        ? "use the first tensor again to share it, or set copies apart with scope(prefix, () => …)"
        : "use the first tensor again, or choose another name",
  });
}

/** Numbers, nested as deep as the tensor has axes. */
export type Nested = number | boolean | readonly Nested[];

/** A tensor known now: a number, nested lists of numbers, or a typed array with dims. Throws QKV109, QKV121. */
export function constant<D extends DType = "f32">(values: Nested, dtype?: D): Tensor<Shape, D> {
  return run(constant, [], (b) => {
    const type = checkDType(dtype ?? "f32", "a constant");
    const dims: number[] = [];
    for (let level: unknown = values; Array.isArray(level); level = level[0]) dims.push(level.length);
    const flat: number[] = [];
    flatten(values, dims, 0, flat);
    return wrap(b, b.arena.build.constant({ value: fromNumbers(type, dims, flat) }));
  }) as never;
}

function flatten(values: Nested, dims: readonly number[], depth: number, out: number[]): void {
  if (typeof values === "number" || typeof values === "boolean") {
    if (depth !== dims.length) fail("QKV121", "constant: the lists are not nested equally deep");
    out.push(Number(values));
    return;
  }
  if (!Array.isArray(values)) fail("QKV121", `constant: ${describe(values)} is no number`);
  if (depth >= dims.length || values.length !== dims[depth])
    fail("QKV121", `constant: a list has ${values.length} elements where ${dims[depth] ?? "a number"} stood before`);
  for (const value of values as readonly Nested[]) flatten(value, dims, depth + 1, out);
}

/** The numbers 0, 1, …, size - 1, as i64 unless another element type is given. */
export function iota<const N extends DimLike, D extends DType = "i64">(
  size: N,
  dtype?: D,
): Tensor<Dims<readonly [N]>, D> {
  return run(iota, [], (b) =>
    apply(b, "iota", [], { size: toDim(size, "the size"), dtype: checkDType(dtype ?? "i64", "iota") }),
  ) as never;
}

/** The value a dimension has at run time, as a rank-0 i64. */
export function size(dim: DimLike): Tensor<readonly [], "i64"> {
  return run(size, [], (b) => apply(b, "size", [], { of: toDim(dim, "the dimension") })) as never;
}

/**
 * Puts `prefix.` before the names of all parameters declared in `body`. Scopes nest. Throws QKV102, QKV104.
 */
export function scope<T>(prefix: string, body: () => T): T {
  const builder = activeBuilder();
  if (!builder) return run(scope, [], () => body());
  checkScope(prefix);
  const outer = builder.prefix;
  builder.prefix = `${outer}${prefix}.`;
  try {
    return authored(builder, body);
  } finally {
    builder.prefix = outer;
  }
}

function checkScope(prefix: string): void {
  run(scope, [], () => checkName(prefix, "the prefix of a scope"));
}
