import { fail } from "../ir/diagnostics.ts";
import type { DType } from "../ir/dtype.ts";
import { type OnnxAttribute, opaqueCode } from "../ir/opaque-code.ts";
import { type Builder, run } from "./builder.ts";
import { anyDim, checkDType, checkName, checkOptions, describe, positiveInteger } from "./checks.ts";
import type { DimLike } from "./shape-types.ts";
import { asTensor, type Tensor, wrap } from "./tensor.ts";

/** What an operator gives. Names of dims that nothing else determines stand for sizes known once it has run. */
export interface OnnxResult {
  readonly dtype: DType;
  readonly shape: readonly DimLike[];
}

export interface OnnxOptions {
  /** The version of the operator's domain that says what it does. */
  readonly opset: number;
  /** Whose operator it is; a standard one where not said. */
  readonly domain?: string;
  /** Whole numbers are ints, others floats; `{ float: 1 }` and `{ floats: [1, 2] }` are floats whatever they are. */
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
}

/**
 * The only result of an ONNX operator the IR has no op for: it is written to files as it is, only the runtime runs it, and
 * no pass looks into it. An operand left out is `null`. Throws QKV101, QKV102, QKV106, QKV120.
 */
export function onnx(operator: string, xs: readonly (Tensor | null)[], options: OnnxOptions & OnnxResult): Tensor {
  return run(onnx, operandsOf(xs), (b) => {
    const { opset, domain, attributes, dtype, shape } = given(options, ["dtype", "shape"]) as typeof options;
    return made(b, operator, xs, { opset, domain, attributes, results: [{ dtype, shape }] })[0]!;
  });
}

/** Several results of an ONNX operator, its first ones. Throws as `onnx`. */
export function onnxResults<const R extends readonly OnnxResult[]>(
  operator: string,
  xs: readonly (Tensor | null)[],
  options: OnnxOptions & { readonly results: R },
): { readonly [K in keyof R]: Tensor } {
  return run(onnxResults, operandsOf(xs), (b) => made(b, operator, xs, given(options, ["results"]) as never)) as never;
}

const operandsOf = (xs: unknown): readonly unknown[] => (Array.isArray(xs) ? xs.filter((x) => x !== null) : [xs]);

const given = (options: unknown, own: readonly string[]) =>
  checkOptions(options as object, ["opset", "domain", "attributes", ...own] as never, "onnx");

interface Asked {
  readonly opset: number;
  readonly domain: string | undefined;
  readonly attributes: OnnxOptions["attributes"];
  readonly results: readonly OnnxResult[];
}

function made(b: Builder, operator: unknown, xs: unknown, asked: Asked): readonly Tensor[] {
  if (!Array.isArray(xs)) return fail("QKV106", `onnx: the operands are ${describe(xs)}; write a list of tensors`);
  const { domain = "", results } = asked;
  if (!Array.isArray(results) || results.length === 0)
    return fail("QKV120", `onnx: results is ${describe(results)}; write a list of types`);
  const values = xs.map((x, i) => (x === null ? undefined : asTensor(b, x, `operand ${i + 1}`).value));
  const operands = [...new Set(values.filter((value) => value !== undefined))];
  const types = (results as readonly OnnxResult[]).map((result) => typeOf(result));
  const code = opaqueCode({
    operator: checkName(operator, "the operator"),
    domain: domain === "" ? "" : checkName(domain, "the domain of an operator"),
    opset: positiveInteger(asked.opset, "onnx: opset"),
    inputs: values.map((value) => (value === undefined ? undefined : operands.indexOf(value))),
    results: types.length,
    attributes: attributesOf(asked.attributes),
  });
  const node = b.arena.node("opaque", operands, {
    code,
    dtypes: types.map(({ dtype }) => dtype).join(" "),
    ranks: types.map(({ shape }) => shape.length),
    dims: types.flatMap(({ shape }) => shape),
  });
  return node.results.map((value) => wrap(b, value));
}

function typeOf(result: OnnxResult) {
  if (typeof result !== "object" || result === null || !Array.isArray(result.shape))
    return fail("QKV120", `onnx: the type of a result is ${describe(result)}; write { dtype, shape }`);
  return {
    dtype: checkDType(result.dtype, "a result"),
    shape: result.shape.map((dim) => anyDim(dim, "a size of a result")),
  };
}

function attributesOf(attributes: unknown = {}): ReadonlyMap<string, OnnxAttribute> {
  if (typeof attributes !== "object" || attributes === null || Array.isArray(attributes))
    return fail("QKV120", `onnx: attributes is ${describe(attributes)}; write { name: value }`);
  return new Map(
    Object.entries(attributes).map(([name, value]) => {
      if (!isAttribute(value)) fail("QKV120", `onnx: the attribute ${describe(name)} is ${describe(value)}`);
      return [name, value as OnnxAttribute];
    }),
  );
}

function isAttribute(value: unknown): boolean {
  if (Array.isArray(value)) return areAll(value, isInteger) || areAll(value, isNumber) || areAll(value, isText);
  if (typeof value !== "object" || value === null) return isText(value) || isInteger(value) || isFraction(value);
  const [key, ...others] = Object.keys(value);
  const inner: unknown = Object.values(value)[0];
  if (others.length > 0) return false;
  return key === "float" ? isNumber(inner) : key === "floats" && Array.isArray(inner) && areAll(inner, isNumber);
}

const areAll = (list: readonly unknown[], is: (value: unknown) => boolean) => list.every(is);
const isText = (value: unknown) => typeof value === "string";
const isNumber = (value: unknown) => typeof value === "number";
const isInteger = (value: unknown) => Number.isSafeInteger(value);
const isFraction = (value: unknown) => isNumber(value) && !Number.isInteger(value);
