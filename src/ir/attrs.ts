import { type Dim, show } from "./dim.ts";
import { type DType, isDType } from "./dtype.ts";
import type { Graph } from "./graph.ts";
import { formulaKey, type IndexExpr, isFormula } from "./index-expr/types.ts";
import { type HostTensor, tensorBytes } from "./tensor.ts";

export interface AttrTypes {
  int: number;
  float: number;
  bool: boolean;
  string: string;
  dtype: DType;
  ints: readonly number[];
  dim: Dim;
  dims: readonly Dim[];
  tensor: HostTensor;
  graph: Graph;
  /** A formula over the indices of a score. */
  formula: IndexExpr;
}

export type AttrKind = keyof AttrTypes;
export type AttrValue = AttrTypes[AttrKind];

/** One attribute of an op: its kind, what it means, and its default; without a default it is required. */
export interface AttrSpec<K extends AttrKind = AttrKind, Required extends boolean = boolean> {
  readonly kind: K;
  readonly doc: string;
  readonly default?: AttrTypes[K];
  /** Only for the type level. */
  readonly required?: Required;
}

export type AttrSpecs = Readonly<Record<string, AttrSpec>>;

/** Required attribute. */
export const attr = <K extends AttrKind>(kind: K, doc: string): AttrSpec<K, true> => ({ kind, doc });
/** Attribute with a default, left out of the text form where it has it. */
export const optional = <K extends AttrKind>(kind: K, doc: string, fallback: AttrTypes[K]): AttrSpec<K, false> => ({
  kind,
  doc,
  default: fallback,
});

/** Attributes as an op's functions see them: complete. */
export type Attrs<S extends AttrSpecs> = { readonly [K in keyof S]: AttrTypes[S[K]["kind"]] };

type RequiredKeys<S extends AttrSpecs> = { [K in keyof S]: S[K] extends AttrSpec<AttrKind, true> ? K : never }[keyof S];

/** Attributes as a caller gives them: those with a default may be left out. */
export type AttrInput<S extends AttrSpecs> = Pick<Attrs<S>, RequiredKeys<S>> & Partial<Attrs<S>>;

const tensorIds = new WeakMap<HostTensor, number>();
let nextTensorId = 0;
const contentKeyBytes = 2 ** 16;
const bytesAtOnce = 2 ** 13;

/** Tensors up to a size are the same when their bytes are; larger ones only when they are the same object. */
function tensorKey(tensor: HostTensor): string {
  const head = `${tensor.dtype}[${tensor.dims.join(",")}]`;
  const bytes = tensorBytes(tensor);
  if (bytes.length <= contentKeyBytes) {
    let text = `${head}{`;
    for (let at = 0; at < bytes.length; at += bytesAtOnce)
      text += String.fromCharCode(...bytes.subarray(at, at + bytesAtOnce));
    return text;
  }
  let id = tensorIds.get(tensor);
  if (id === undefined) tensorIds.set(tensor, (id = nextTensorId++));
  return `${head}@${id}`;
}

const numberKey = (value: number | bigint): string => (Object.is(value, -0) ? "-0" : String(value));

const graphKey = (graph: Graph): string =>
  [
    graph.inputs.map((value) => value.node.id).join(","),
    graph.outputs.map(({ name, value }) => `${JSON.stringify(name)}:${value.node.id}.${value.index}`).join(","),
  ].join("->");

/** Text that is equal exactly where two values of one attribute are interchangeable. */
export function attrKey(kind: AttrKind, value: AttrValue): string {
  switch (kind) {
    case "tensor":
      return tensorKey(value as HostTensor);
    case "graph":
      return graphKey(value as Graph);
    case "dim":
      return show(value as Dim);
    case "dims":
      return (value as readonly Dim[]).map(show).join(",");
    case "ints":
      return (value as readonly number[]).join(",");
    case "string":
      return JSON.stringify(value);
    case "float":
      return numberKey(value as number);
    case "formula":
      return formulaKey(value as IndexExpr);
    default:
      return String(value);
  }
}

const isDim = (value: unknown): value is Dim =>
  Number.isSafeInteger(value) || (typeof value === "object" && value !== null && "terms" in value);

/** Whether `value` may stand for an attribute of `kind`. */
export function isAttrValue(kind: AttrKind, value: unknown): boolean {
  switch (kind) {
    case "int":
      return Number.isSafeInteger(value);
    case "float":
      return typeof value === "number";
    case "bool":
      return typeof value === "boolean";
    case "string":
      return typeof value === "string";
    case "dtype":
      return typeof value === "string" && isDType(value);
    case "ints":
      return Array.isArray(value) && value.every(Number.isSafeInteger);
    case "dim":
      return isDim(value);
    case "dims":
      return Array.isArray(value) && value.every(isDim);
    case "tensor":
      return typeof value === "object" && value !== null && "data" in value;
    case "graph":
      return typeof value === "object" && value !== null && "outputs" in value;
    case "formula":
      return isFormula(value);
  }
}
