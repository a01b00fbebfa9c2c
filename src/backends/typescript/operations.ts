import { attrsOf, opDef } from "../../ir/arena.ts";
import { both, causalFormula, everything } from "../../ir/attend.ts";
import { type AttrValue, attrKey } from "../../ir/attrs.ts";
import type { Dim } from "../../ir/dim.ts";
import type { DType } from "../../ir/dtype.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { applied, type IndexExpr, constant as indexConstant, score as theScore } from "../../ir/index-expr/types.ts";
import { elementTexts } from "../../ir/literals.ts";
import { attentionExtras } from "../../ir/ops/attention.ts";
import type { OpName } from "../../ir/ops/index.ts";
import { gatesOf } from "../../ir/ops/linear-attention.ts";
import type { HostTensor } from "../../ir/tensor.ts";
import { axisFromFirst } from "../../ir/types.ts";
import {
  type Code,
  call,
  dim,
  dims,
  flag,
  list,
  method,
  named,
  number,
  numberText,
  options,
  ref,
  size,
  string,
  text,
} from "./code.ts";
import { cond, scan } from "./control.ts";
import { readsLengths } from "./formulas.ts";
import { onnxCall } from "./opaque.ts";

/** How an op is written; what it reads are values, whose names come later. */
export type Writer = (node: Node) => Code;

const operand = (node: Node, i: number): Code => ref(node.operands[i]!);
const operands = (node: Node): readonly Code[] => node.operands.map(ref);
const rankOf = (value: Value): number => value.type.shape.length;

/** The number a rank-0 constant of this element type is, where a number says it all. */
function numberOf({ node, type }: Value, dtype: DType): number | undefined {
  if (node.op !== "constant" || type.shape.length > 0 || type.dtype !== dtype) return undefined;
  const words = elementTexts(node.attrs.get("value") as HostTensor)?.[0];
  const value = words === undefined ? undefined : plainNumber(words);
  return value !== undefined && (dtype.startsWith("f") || dtype === "bf16" || Number.isSafeInteger(value))
    ? value
    : undefined;
}

const special: Readonly<Record<string, number>> = {
  ...{ inf: Number.POSITIVE_INFINITY, "-inf": Number.NEGATIVE_INFINITY, nan: Number.NaN, true: 1, false: 0 },
};
const plainNumber = (words: string): number => special[words] ?? Number(words);

/** Operands of one element type: constants as numbers, as long as a tensor is left that says the type. */
export function withNumbers(values: readonly Value[]): readonly Code[] {
  const like = values.find(({ node, type }) => node.op !== "constant" || type.shape.length > 0);
  if (!like) return values.map(ref);
  return values.map((value) => {
    const known = numberOf(value, like.type.dtype);
    return known === undefined ? ref(value) : number(known);
  });
}

const unary =
  (callee: string): Writer =>
  (node) =>
    call(callee, operand(node, 0));

const infix =
  (callee: string): Writer =>
  (node) => {
    const [x, y] = withNumbers(node.operands) as [Code, Code];
    return x.kind === "value" ? method(x, callee, y) : call(callee, x, y);
  };

const binary =
  (callee: string): Writer =>
  (node) =>
    call(callee, ...withNumbers(node.operands));

const reduction =
  (callee: string, op: "reduceSum" | "reduceMean" | "reduceMax" | "reduceMin"): Writer =>
  (node) => {
    const { axes, keepDims } = attrsOf(node, op);
    const along = axes.length === 1 ? number(axes[0]!) : list(axes.map(number));
    return call(callee, operand(node, 0), ...options({ axes: along, keepDims: flag(keepDims) }));
  };

const axisOption = (axis: number, x: Value): readonly Code[] =>
  options({ axis: axisFromFirst(axis, rankOf(x)) === rankOf(x) - 1 ? undefined : number(axis) });

const alongAxis =
  (callee: "softmax" | "logSoftmax"): Writer =>
  (node) =>
    call(callee, operand(node, 0), ...axisOption(attrsOf(node, callee).axis, node.operands[0]!));

/** `op("name", [x, y], { attribute })`: what has no function of its own. */
export const anyOp: Writer = (node) => {
  const entries = Object.entries(opDef(node.op).attrs).map(([name, spec]) => {
    const value = node.attrs.get(name)!;
    const isDefault = spec.default !== undefined && attrKey(spec.kind, spec.default) === attrKey(spec.kind, value);
    return [name, isDefault ? undefined : attributeCode(value)] as const;
  });
  const callee = node.results.length === 1 ? "op" : "opResults";
  return call(callee, string(node.op), list(operands(node)), ...options(Object.fromEntries(entries)));
};

function attributeCode(value: AttrValue): Code {
  if (typeof value === "string") return string(value);
  if (typeof value === "boolean") return text(String(value));
  if (Array.isArray(value)) return list((value as readonly Dim[]).map(dim));
  return dim(value as Dim);
}

/** Dims a model's author may write: no zeros. */
const hasZero = (shape: readonly Dim[]) => shape.some((size) => typeof size === "number" && size < 1);

function reshape(node: Node): Code {
  const [x] = node.operands as readonly [Value];
  const { shape } = attrsOf(node, "reshape");
  const axes = addedAxes(x.type.shape, shape);
  if (axes) return call("expandDims", ref(x), ...axes.map(number));
  const gone = addedAxes(shape, x.type.shape);
  if (gone) return call("squeeze", ref(x), ...gone.map(number));
  return hasZero(shape) ? anyOp(node) : call("reshape", ref(x), dims(shape));
}

/** Where axes of size 1 are added to `from` to give `to`; nothing where more is changed. */
function addedAxes(from: readonly Dim[], to: readonly Dim[]): readonly number[] | undefined {
  if (from.length >= to.length) return undefined;
  const axes: number[] = [];
  let at = 0;
  to.forEach((size, axis) => {
    const spare = to.length - axis > from.length - at;
    if (size === 1 && spare && from[at] !== 1) axes.push(axis);
    else if (size === from[at]) at++;
    else if (size === 1) axes.push(axis);
    else at = Number.NaN;
  });
  return at === from.length && axes.length === to.length - from.length ? axes : undefined;
}

function transpose(node: Node): Code {
  const { perm } = attrsOf(node, "transpose");
  const rank = perm.length;
  const swapsLast = rank > 1 && perm.every((axis, i) => axis === (i < rank - 2 ? i : 2 * rank - 3 - i));
  return call("transpose", operand(node, 0), ...(swapsLast ? [] : [list(perm.map(number))]));
}

function slice(node: Node): Code {
  const { axis, start, end } = attrsOf(node, "slice");
  const whole = node.operands[0]!.type.shape.at(axis);
  const entries = {
    axis: number(axis),
    start: start === 0 ? undefined : dim(start),
    end: end === whole ? undefined : dim(end),
  };
  const negative = [start, end].some((bound) => typeof bound === "number" && bound < 0);
  // Nothing left, or nothing cut off, is not what the function makes.
  if (negative || (start === 0 && end === whole)) return anyOp(node);
  return call("slice", operand(node, 0), ...options(entries));
}

function split(node: Node): Code {
  const { axis, sizes } = attrsOf(node, "split");
  if (hasZero(sizes)) return anyOp(node);
  const equal = sizes.every((part) => part === sizes[0] && typeof part === "number");
  return call("split", operand(node, 0), equal ? number(sizes.length) : dims(sizes), number(axis));
}

function pad(node: Node): Code {
  const { axis, low, high, value } = attrsOf(node, "pad");
  const count = (size: Dim) => (size === 0 ? undefined : dim(size));
  const added = value === 0 && !Object.is(value, -0) ? undefined : number(value);
  return call(
    "pad",
    operand(node, 0),
    ...options({ axis: number(axis), low: count(low), high: count(high), value: added }),
  );
}

const places = ({ axis, batch }: { readonly axis: number; readonly batch: number }) => ({
  axis: axis === batch ? undefined : number(axis),
  batch: batch === 0 ? undefined : number(batch),
});

function scatter(node: Node): Code {
  const { reduction, ...at } = attrsOf(node, "scatter");
  return call(
    "scatter",
    ...operands(node),
    ...options({ ...places(at), reduction: reduction === "none" ? undefined : string(reduction) }),
  );
}

function topK(node: Node): Code {
  const { k, axis, largest } = attrsOf(node, "topK");
  if (hasZero([k])) return anyOp(node);
  const last = axisFromFirst(axis, rankOf(node.operands[0]!)) === rankOf(node.operands[0]!) - 1;
  return call(
    "topK",
    operand(node, 0),
    dim(k),
    ...options({ axis: last ? undefined : number(axis), smallest: flag(!largest) }),
  );
}

function cumsum(node: Node): Code {
  const { axis, exclusive, reverse } = attrsOf(node, "cumsum");
  return call(
    "cumsum",
    operand(node, 0),
    ...options({ axis: number(axis), exclusive: flag(exclusive), reverse: flag(reverse) }),
  );
}

function select(node: Node): Code {
  const [condition, x, y] = node.operands as readonly [Value, Value, Value];
  const sides = [x, y].every((side) => numberOf(side, "f32") !== undefined)
    ? [x, y].map((side) => number(numberOf(side, "f32")!))
    : withNumbers([x, y]);
  return call("where", ref(condition), ...sides);
}

function einsum(node: Node): Code {
  const spec = String(node.attrs.get("spec"));
  return call("einsum", string(spec), ...operands(node));
}

/** `constant(…)`: nested as deep as the tensor has axes. */
function constant(node: Node): Code {
  const { value } = attrsOf(node, "constant");
  const type = value.dtype === "f32" ? [] : [string(value.dtype)];
  if (value.data.length === 0 && value.dims.length > 1)
    return call(
      "op",
      string("reshape"),
      list([call("constant", list([]), ...type)]),
      ...options({ shape: dims(value.dims) }),
    );
  return call("constant", nested(value), ...type);
}

/** The elements as lists of lists. */
function nested(value: HostTensor): Code {
  const texts = elementTexts(value)!.map((words) => (value.dtype === "bool" ? words : numberText(plainNumber(words))));
  const nest = (shape: readonly number[], from: number, count: number): Code => {
    if (shape.length === 0) return text(texts[from]!);
    const each = count / shape[0]!;
    return list(Array.from({ length: shape[0]! }, (_, i) => nest(shape.slice(1), from + i * each, each)));
  };
  return nest(value.dims, 0, texts.length);
}

/** A constant that only formulas read: lists, which they read as they are. Nothing for what lists would not give again. */
export function tableCode(node: Node): Code | undefined {
  if (node.op !== "constant") return undefined;
  const { value } = attrsOf(node, "constant");
  const isList = value.dims.length > 0 && value.data.length > 0 && (value.dtype === "f64" || value.dtype === "bool");
  return isList ? nested(value) : undefined;
}

const dtypeUnless = (usual: DType, dtype: DType) => (dtype === usual ? undefined : string(dtype));

function param(node: Node): Code {
  const { name, shape, dtype, init } = attrsOf(node, "param");
  const given = { dtype: dtypeUnless("f32", dtype), init: init === "normal" ? undefined : string(init) };
  return call("param", named(name), dims(shape), ...options(given));
}

function input(node: Node): Code {
  const { name, shape, dtype } = attrsOf(node, "input");
  return call("input", string(name), string(dtype), dims(shape));
}

function iota(node: Node): Code {
  const attrs = attrsOf(node, "iota");
  const dtype = dtypeUnless("i64", attrs.dtype);
  return hasZero([attrs.size]) ? anyOp(node) : call("iota", dim(attrs.size), ...(dtype ? [dtype] : []));
}

function norm(op: "layerNorm" | "rmsNorm"): Writer {
  return (node) => {
    const { epsilon } = attrsOf(node, op);
    return call("op", string(op), list(operands(node)), ...options({ epsilon: epsilonCode(epsilon) }));
  };
}

/** An epsilon; one that was a number of f32 is as short as that allows. */
export function epsilonCode(epsilon: number): Code | undefined {
  const short = Number(epsilon.toPrecision(6));
  const value = epsilon === Math.fround(epsilon) && Math.fround(short) === epsilon ? short : epsilon;
  return value === 1e-5 ? undefined : size(value, "epsilon");
}

function gelu(node: Node): Code {
  const { approximate } = attrsOf(node, "gelu");
  return call(
    "gelu",
    operand(node, 0),
    ...options({ approximate: approximate === "none" ? undefined : string(approximate) }),
  );
}

function elu(node: Node): Code {
  const { alpha } = attrsOf(node, "elu");
  return call("elu", operand(node, 0), ...options({ alpha: alpha === 1 ? undefined : number(alpha) }));
}

function rope(node: Node): Code {
  const [x, cos, sin] = node.operands as readonly [Value, Value, Value];
  const angles = options({ cos: ref(cos), sin: ref(sin) })[0];
  return call("rope", ref(x), ...options({ angles, interleaved: flag(attrsOf(node, "rope").interleaved) }));
}

function linearAttention(node: Node): Code {
  const attrs = attrsOf(node, "linearAttention");
  const [q, k, v, ...gates] = node.operands as readonly [Value, Value, Value, ...Value[]];
  const { decay, rate } = gatesOf(gates, attrs);
  const scale = attrs.scale === 1 ? undefined : number(attrs.scale);
  return call(
    "linearAttention",
    ref(q),
    ref(k),
    ref(v),
    ...options({ scale, logDecay: decay && ref(decay), rate: rate && ref(rate) }),
  );
}

function attention(node: Node): Code {
  const attrs = attrsOf(node, "attention");
  return call("attention", ...operands(node).slice(0, 3), ...attentionOptions(node, attrs));
}

type AttentionAttrs = ReturnType<typeof attrsOf<"attention">>;

/** The options of an attention: the default scale left out, masks and scores as functions. */
function attentionOptions(node: Node, attrs: AttentionAttrs): readonly Code[] {
  const [q, k, , ...extras] = node.operands as readonly [Value, Value, Value, ...Value[]];
  const { mask, bias, tables } = attentionExtras(extras, attrs.tables);
  const formula = (kind: "mask" | "score" | "prob", expr: IndexExpr): Code => {
    const lengths = readsLengths(expr);
    const reads = [...(lengths ? [q, k] : []), ...tables].map(ref);
    return {
      kind: "formula",
      formula: { kind, expr, reads, lengths, truths: tables.map(({ type }) => type.dtype === "bool") },
    };
  };
  const masked = attrs.mask !== everything;
  const joined = masked && !mask;
  // Beside a mask tensor, keys are hidden by their score.
  const hiding =
    masked && mask ? applied("select", attrs.mask, attrs.score, indexConstant(Number.NEGATIVE_INFINITY)) : attrs.score;
  const seen = attrs.causal && joined ? both(causalFormula, attrs.mask) : attrs.mask;
  return options({
    scale: isUsualScale(attrs.scale, q) ? undefined : number(attrs.scale),
    causal: flag(attrs.causal && !joined),
    mask: mask ? ref(mask) : joined ? formula("mask", seen) : undefined,
    bias: bias && ref(bias),
    score: hiding === theScore() ? undefined : formula("score", hiding),
    prob: attrs.prob === theScore() ? undefined : formula("prob", attrs.prob),
    normaliser: attrs.normaliser === "softmax" ? undefined : string(attrs.normaliser),
  });
}

/** 1/√width, as nearly as the element type tells numbers apart. */
function isUsualScale(scale: number, { type: { dtype, shape } }: Value): boolean {
  const width = shape.at(-1);
  if (typeof width !== "number") return false;
  const usual = 1 / Math.sqrt(width);
  return scale === usual || (dtype !== "f64" && Math.fround(scale) === Math.fround(usual));
}

function packedAttention(node: Node): Code {
  const { heads, kvHeads, ...attrs } = attrsOf(node, "packedAttention");
  const [q, k, v] = [heads, kvHeads, kvHeads].map((n, i) => call("heads", operand(node, i), size(n, "heads")));
  return call("merge", call("attention", q!, k!, v!, ...attentionOptions(node, attrs)));
}

/** How each op is written where nothing larger is recognised. */
export const operations: Readonly<Record<OpName, Writer>> = {
  input,
  param,
  constant,
  iota,
  size: (node) => call("size", dim(attrsOf(node, "size").of)),
  neg: unary("neg"),
  abs: unary("abs"),
  sign: unary("sign"),
  exp: unary("exp"),
  log: unary("log"),
  sqrt: unary("sqrt"),
  erf: unary("erf"),
  tanh: unary("tanh"),
  sin: unary("sin"),
  cos: unary("cos"),
  sigmoid: unary("sigmoid"),
  floor: unary("floor"),
  ceil: unary("ceil"),
  round: unary("round"),
  not: unary("not"),
  add: infix("add"),
  sub: infix("sub"),
  mul: infix("mul"),
  div: infix("div"),
  pow: infix("pow"),
  max: binary("maximum"),
  min: binary("minimum"),
  mod: binary("mod"),
  equal: binary("equal"),
  less: binary("less"),
  lessEqual: binary("lessEqual"),
  and: binary("and"),
  or: binary("or"),
  select,
  cast: (node) => method(operand(node, 0), "cast", string(attrsOf(node, "cast").to)),
  reduceSum: reduction("sum", "reduceSum"),
  reduceMean: reduction("mean", "reduceMean"),
  reduceMax: reduction("max", "reduceMax"),
  reduceMin: reduction("min", "reduceMin"),
  cumsum,
  reshape,
  refine: anyOp,
  transpose,
  broadcast: (node) => {
    const { shape } = attrsOf(node, "broadcast");
    return hasZero(shape) ? anyOp(node) : call("broadcastTo", operand(node, 0), dims(shape));
  },
  slice,
  concat: (node) => call("concat", list(operands(node)), number(attrsOf(node, "concat").axis)),
  split,
  pad,
  gather: (node) => call("gather", ...operands(node), ...options(places(attrsOf(node, "gather")))),
  scatter,
  flatNonZero: anyOp,
  topK,
  contract: einsum,
  einsum,
  softmax: alongAxis("softmax"),
  logSoftmax: alongAxis("logSoftmax"),
  attention,
  attentionWithWeights: anyOp,
  packedAttention,
  linearAttention,
  layerNorm: norm("layerNorm"),
  rmsNorm: norm("rmsNorm"),
  skipLayerNorm: anyOp,
  skipRmsNorm: anyOp,
  relu: unary("relu"),
  elu,
  gelu,
  silu: unary("silu"),
  biasGelu: anyOp,
  rope,
  opaque: (node) => onnxCall(node) ?? anyOp(node),
  if: cond,
  scan,
};
