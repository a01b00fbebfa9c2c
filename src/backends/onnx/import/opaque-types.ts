import { add, atLeast, ceilDiv, type Dim, floorDiv, isStatic, mul, sub } from "../../../ir/dim.ts";
import type { DType } from "../../../ir/dtype.ts";
import { isDType } from "../../../ir/dtype.ts";
import type { TensorType } from "../../../ir/types.ts";
import { isTensorInfo, type OnnxGraph } from "../schema.ts";
import { dtypeOf } from "../tensor-data.ts";
import type { NodeContext } from "./node.ts";
import { unmodelled } from "./unmodelled.ts";

type Types = readonly (TensorType | undefined)[];
type TypeRule = (cx: NodeContext) => Types;

const typeOf = (cx: NodeContext, i: number): TensorType => cx.operand(i).type;
const sameAs =
  (i: number): TypeRule =>
  (cx) => [typeOf(cx, i)];
const withDType = (dtype: DType, { shape }: TensorType): TensorType => ({ dtype, shape });

/** A size only a run tells, called after the node's first result. */
const unknown = (cx: NodeContext, axis: number | string): Dim => cx.symbols.unknown(`${cx.node.outputs[0]}.${axis}`);

/** Leading axes of two operands stretched to each other; what does not fit is known at run time. */
function stretched(cx: NodeContext, a: readonly Dim[], b: readonly Dim[]): readonly Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    return x === y || y === 1 ? x : x === 1 ? y : unknown(cx, i);
  });
}

function productShape(cx: NodeContext, x: readonly Dim[], y: readonly Dim[]): readonly Dim[] {
  if (x.length < 2 || y.length < 2) return unmodelled("it multiplies vectors");
  cx.same(x.at(-1)!, y.at(-2)!);
  return [...stretched(cx, x.slice(0, -2), y.slice(0, -2)), x.at(-2)!, y.at(-1)!];
}

const product =
  (dtype: (cx: NodeContext) => DType, right = 1): TypeRule =>
  (cx) => [{ dtype: dtype(cx), shape: productShape(cx, typeOf(cx, 0).shape, typeOf(cx, right).shape) }];

/** Size along one axis of what slides over it: ⌊(n + pads - dilation · (kernel - 1) - 1) / stride⌋ + 1. */
function slid(n: Dim, kernel: Dim, stride: number, pads: Dim, dilation: number): Dim {
  const span = add(mul(dilation, sub(kernel, 1)), 1);
  return add(floorDiv(sub(add(n, pads), span), stride), 1);
}

function windowShape(cx: NodeContext, x: readonly Dim[], channels: Dim, kernel: readonly Dim[]): readonly Dim[] {
  const spatial = x.slice(2);
  const auto = cx.text("auto_pad", "NOTSET");
  const pads = cx.ints("pads") ?? spatial.flatMap(() => [0, 0]);
  const [strides, dilations] = [cx.ints("strides"), cx.ints("dilations")];
  const sizes = spatial.map((n, i) => {
    const stride = strides?.[i] ?? 1;
    if (auto.startsWith("SAME")) return floorDiv(add(n, stride - 1), stride);
    if (cx.int("ceil_mode", 0) !== 0) return unknown(cx, i + 2);
    return slid(n, kernel[i]!, stride, add(pads[i]!, pads[i + spatial.length]!), dilations?.[i] ?? 1);
  });
  return [x[0]!, channels, ...sizes];
}

const conv =
  (dtype: (cx: NodeContext) => DType, weight = 1): TypeRule =>
  (cx) => {
    const [x, w] = [typeOf(cx, 0).shape, typeOf(cx, weight).shape];
    cx.same(x[1]!, mul(w[1]!, cx.int("group", 1)));
    return [{ dtype: dtype(cx), shape: windowShape(cx, x, w[0]!, w.slice(2)) }];
  };

const pool: TypeRule = (cx) => {
  const x = typeOf(cx, 0);
  const type = { dtype: x.dtype, shape: windowShape(cx, x.shape, x.shape[1]!, cx.ints("kernel_shape") ?? []) };
  return [type, { dtype: "i64", shape: type.shape }];
};

const globalPool: TypeRule = (cx) => {
  const { dtype, shape } = typeOf(cx, 0);
  return [{ dtype, shape: shape.map((dim, i) => (i < 2 ? dim : 1)) }];
};

const elementwise: TypeRule = (cx) => {
  const types = cx.inputs.map((_, i) => typeOf(cx, i));
  return [{ dtype: types.at(-1)!.dtype, shape: types.map(({ shape }) => shape).reduce((a, b) => stretched(cx, a, b)) }];
};
const comparison: TypeRule = (cx) => elementwise(cx).map((type) => type && withDType("bool", type));

/** The shape a list names, as far as it is known; its length is. */
function listedShape(cx: NodeContext, i: number): readonly Dim[] {
  const { type, contents } = cx.operand(i);
  const rank = type.shape[0];
  if (contents) return contents.map((dim, axis) => (isStatic(dim) && dim < 1 ? unknown(cx, axis) : dim));
  if (rank === undefined || !isStatic(rank)) return unmodelled("its rank is known at run time only");
  return Array.from({ length: rank }, (_, axis) => unknown(cx, axis));
}

const ofDType = (dtype: DType) => () => dtype;
const dtypeOfOperand = (i: number) => (cx: NodeContext) => typeOf(cx, i).dtype;

const openAxes: TypeRule = (cx) => {
  const { dtype, shape } = typeOf(cx, 0);
  return [{ dtype, shape: shape.map((_, axis) => unknown(cx, axis)) }];
};

/** Bounds this far out are the ends of an axis, however long it is. */
const beyondAll = 2 ** 30;

/** How many places a slice takes of an axis from one of its ends to the other; undefined for other slices. */
function steppedSize(size: Dim, start: Dim | undefined, end: Dim | undefined, step: number): Dim | undefined {
  if (start === undefined || end === undefined || step === 0) return undefined;
  const isWhole =
    step > 0
      ? start === 0 && atLeast(end, beyondAll)
      : (start === -1 || atLeast(start, beyondAll)) && atLeast(-beyondAll, end);
  return isWhole ? ceilDiv(size, Math.abs(step)) : undefined;
}

/** Axes that are not cut keep their sizes; older forms of the operator are left open. */
const sliced: TypeRule = (cx) => {
  const { dtype, shape } = typeOf(cx, 0);
  const [starts, ends] = [cx.contents(1), cx.contents(2)];
  const axes = cx.has(3) ? cx.numbersOrUndefined(3) : starts?.map((_, i) => i);
  const steps = cx.has(4) ? cx.numbersOrUndefined(4) : axes?.map(() => 1);
  if (cx.opset < 10 || !axes || !steps) return openAxes(cx);
  const at = axes.map((axis) => cx.axis(axis, shape.length));
  const sizes = shape.map((dim, axis) => {
    const i = at.indexOf(axis);
    return i < 0 ? dim : (steppedSize(dim, starts?.[i], ends?.[i], steps[i]!) ?? unknown(cx, axis));
  });
  return [{ dtype, shape: sizes }];
};

/** An axis made longer by a whole factor, or shorter by a power of two: ⌊n · factor⌋ as float32 has it. */
function scaled(n: Dim, factor: number): Dim | undefined {
  if (Number.isInteger(factor)) return mul(n, factor);
  return Number.isInteger(Math.log2(factor)) ? floorDiv(n, 1 / factor) : undefined;
}

/** Sizes are listed or follow from factors; those of a part of the axes, or of a part of the image, are left open. */
const resized: TypeRule = (cx) => {
  const { dtype, shape } = typeOf(cx, 0);
  const isPart = cx.ints("axes") || cx.text("coordinate_transformation_mode", "") === "tf_crop_and_resize";
  if (isPart || cx.text("keep_aspect_ratio_policy", "stretch") !== "stretch") return openAxes(cx);
  if (cx.has(3)) return [{ dtype, shape: listedShape(cx, 3) }];
  const at = cx.node.opType === "Resize" && cx.opset >= 11 ? 2 : 1;
  const factors = cx.floats("scales") ?? (cx.has(at) ? cx.constantsOrUndefined(at) : undefined);
  const factor = (axis: number) => (factors?.length === shape.length ? factors[axis]! : Number.NaN);
  return [{ dtype, shape: shape.map((dim, axis) => scaled(dim, factor(axis)) ?? unknown(cx, axis)) }];
};

function castType(cx: NodeContext): DType {
  const dtype = dtypeOf(cx.int("to", 0), "Cast");
  return typeof dtype === "string" && isDType(dtype) ? dtype : unmodelled("its element type is not ours");
}

/** Element types: of the zero point where there is one. */
const quantized = (cx: NodeContext): DType => (cx.has(2) ? typeOf(cx, 2).dtype : "u8");

const reduced: TypeRule = (cx) => {
  const { dtype, shape } = typeOf(cx, 0);
  const given = cx.ints("axes") ?? (cx.has(1) ? cx.numbers(1) : []);
  const all = given.length === 0 && !cx.flag("noop_with_empty_axes", false);
  const gone = new Set(all ? shape.keys() : given.map((axis) => cx.axis(axis, shape.length)));
  const kept = cx.flag("keepdims", true);
  return [{ dtype, shape: shape.flatMap((dim, i) => (!gone.has(i) ? [dim] : kept ? [1] : [])) }];
};

/** What a graph says of one of its results: sizes that are no numbers may change with every round. */
function declaredResult(cx: NodeContext, graph: OnnxGraph, i: number): TensorType {
  const info = graph.outputs[i];
  if (!info || !isTensorInfo(info) || typeof info.dtype === "number" || !info.shape)
    return unmodelled(`its body does not say the type of result ${i + 1}`);
  const shape = info.shape.map((dim, axis) =>
    typeof dim === "number" ? dim : cx.symbols.unknown(`${cx.node.outputs[0]}.${i}.${axis}`),
  );
  return { dtype: info.dtype, shape };
}

/** A result of every round, one after the other. */
const stacked = (cx: NodeContext, type: TensorType, i: number): TensorType => ({
  dtype: type.dtype,
  shape: [unknown(cx, `rounds.${i}`), ...type.shape],
});

const loop: TypeRule = (cx) => {
  const body = cx.graph("body");
  const carried = cx.inputs.length - 2;
  return cx.node.outputs.map((_, i) => {
    const type = declaredResult(cx, body, i + 1);
    return i < carried ? type : stacked(cx, type, i);
  });
};

const scan: TypeRule = (cx) => {
  if (cx.opset < 9) return unmodelled("it has an axis of batches");
  const body = cx.graph("body");
  const states = cx.inputs.length - cx.int("num_scan_inputs", 0);
  if (cx.ints("scan_output_axes")?.some((axis) => axis !== 0)) return unmodelled("it stacks along another axis");
  return cx.node.outputs.map((_, i) => {
    const type = declaredResult(cx, body, i);
    return i < states ? type : stacked(cx, type, i);
  });
};

/** Element type and shape of the first operand; the attribute `name` gives another element type. */
const sameButDType =
  (name: string): TypeRule =>
  (cx) => [withDType(cx.dtype(name, typeOf(cx, 0).dtype), typeOf(cx, 0))];

const arg: TypeRule = (cx) => {
  const { shape } = typeOf(cx, 0);
  const axis = cx.axis(cx.int("axis", 0), shape.length);
  const kept = cx.flag("keepdims", true) ? [1] : [];
  return [{ dtype: "i64", shape: [...shape.slice(0, axis), ...kept, ...shape.slice(axis + 1)] }];
};

/** All steps, then the last one of each state; sequences come before batches. */
const recurrent: TypeRule = (cx) => {
  const { dtype, shape } = typeOf(cx, 0);
  if (cx.int("layout", 0) !== 0) return unmodelled("its batches come first");
  const [length, batch] = shape as [Dim, Dim];
  const [directions, , hidden] = typeOf(cx, 2).shape as [Dim, Dim, Dim];
  const last: TensorType = { dtype, shape: [directions, batch, hidden] };
  return [{ dtype, shape: [length, directions, batch, hidden] }, last, last];
};

/** Queries apart from keys and values; the cache grows to a length a run tells. */
const grouped: TypeRule = (cx) => {
  const q = typeOf(cx, 0);
  if (!cx.has(1) || !cx.has(3) || cx.isUsed(3)) return unmodelled("it is packed, has no cache, or gives its scores");
  const past = typeOf(cx, 3);
  const total = unknown(cx, "total");
  const present: TensorType = { dtype: past.dtype, shape: past.shape.map((dim, axis) => (axis === 2 ? total : dim)) };
  return [q, present, present];
};

/** Domains in whose operators a name means one thing. */
const domains: ReadonlySet<string> = new Set(["", "com.microsoft"]);

/** Types of operators that stay as they are, by name. */
const table: Readonly<Record<string, TypeRule>> = {
  Loop: loop,
  Scan: scan,
  Conv: conv(dtypeOfOperand(0)),
  FusedConv: conv(dtypeOfOperand(0)),
  ConvInteger: conv(ofDType("i32")),
  QLinearConv: conv(dtypeOfOperand(7), 3),
  MaxPool: pool,
  AveragePool: pool,
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  MatMul: product(dtypeOfOperand(0)),
  MatMulInteger: product(ofDType("i32")),
  MatMulIntegerToFloat: product(ofDType("f32")),
  DynamicQuantizeMatMul: product(ofDType("f32")),
  QLinearMatMul: product(dtypeOfOperand(7), 3),
  MatMulNBits: (cx) => [{ dtype: typeOf(cx, 0).dtype, shape: [...typeOf(cx, 0).shape.slice(0, -1), cx.int("N", 0)] }],
  DynamicQuantizeLinear: (cx) => [
    withDType("u8", typeOf(cx, 0)),
    { dtype: "f32", shape: [] },
    { dtype: "u8", shape: [] },
  ],
  QuantizeLinear: (cx) =>
    cx.int("output_dtype", 0) === 0
      ? [withDType(quantized(cx), typeOf(cx, 0))]
      : unmodelled("its element type is an attribute"),
  DequantizeLinear: (cx) =>
    cx.int("output_dtype", 0) === 0
      ? [withDType(typeOf(cx, 1).dtype, typeOf(cx, 0))]
      : unmodelled("its element type is an attribute"),
  BatchNormalization: sameAs(0),
  InstanceNormalization: sameAs(0),
  GroupNormalization: sameAs(0),
  LpNormalization: sameAs(0),
  LRN: sameAs(0),
  Softplus: sameAs(0),
  Selu: sameAs(0),
  Celu: sameAs(0),
  Mish: sameAs(0),
  Hardmax: sameAs(0),
  Softmax: sameAs(0),
  Acos: sameAs(0),
  Acosh: sameAs(0),
  Asin: sameAs(0),
  Asinh: sameAs(0),
  Atan: sameAs(0),
  Atanh: sameAs(0),
  Cosh: sameAs(0),
  Sinh: sameAs(0),
  BitwiseNot: sameAs(0),
  Trilu: sameAs(0),
  CumSum: sameAs(0),
  ScatterND: sameAs(0),
  ScatterElements: sameAs(0),
  Scatter: sameAs(0),
  TensorScatter: sameAs(0),
  CumProd: sameAs(0),
  ReverseSequence: sameAs(0),
  RandomNormalLike: sameButDType("dtype"),
  RandomUniformLike: sameButDType("dtype"),
  Bernoulli: sameButDType("dtype"),
  EyeLike: sameButDType("dtype"),
  BitCast: sameButDType("to"),
  ArgMax: arg,
  ArgMin: arg,
  RNN: recurrent,
  GRU: recurrent,
  LSTM: recurrent,
  GroupQueryAttention: grouped,
  Dropout: (cx) => [typeOf(cx, 0), cx.opset < 10 ? typeOf(cx, 0) : withDType("bool", typeOf(cx, 0))],
  RotaryEmbedding: sameAs(0),
  LayerNormalization: sameAs(0),
  Add: elementwise,
  Sub: elementwise,
  Mul: elementwise,
  Div: elementwise,
  Pow: (cx) => elementwise(cx).map((type) => type && withDType(typeOf(cx, 0).dtype, type)),
  Mod: elementwise,
  Max: elementwise,
  Min: elementwise,
  Where: elementwise,
  BitwiseAnd: elementwise,
  BitwiseOr: elementwise,
  BitwiseXor: elementwise,
  BitShift: elementwise,
  Equal: comparison,
  Less: comparison,
  LessOrEqual: comparison,
  Greater: comparison,
  GreaterOrEqual: comparison,
  And: comparison,
  Or: comparison,
  Xor: comparison,
  Cast: (cx) => [withDType(castType(cx), typeOf(cx, 0))],
  Reshape: (cx) => [{ dtype: typeOf(cx, 0).dtype, shape: listedShape(cx, 1) }],
  ConstantOfShape: (cx) => {
    const value = cx.tensor("value");
    const dtype = value?.dtype ?? "f32";
    return [
      {
        dtype: typeof dtype === "string" ? dtype : unmodelled("its element type is not ours"),
        shape: listedShape(cx, 0),
      },
    ];
  },
  Expand: (cx) => {
    const x = typeOf(cx, 0);
    const wanted = cx.contents(1) ?? listedShape(cx, 1);
    return [{ dtype: x.dtype, shape: stretched(cx, x.shape, wanted) }];
  },
  Tile: openAxes,
  Pad: openAxes,
  Slice: sliced,
  Shape: (cx) => {
    const { shape } = typeOf(cx, 0);
    return [{ dtype: "i64", shape: [shape.slice(cx.int("start", 0), cx.int("end", shape.length)).length] }];
  },
  Size: () => [{ dtype: "i64", shape: [] }],
  Resize: resized,
  Upsample: resized,
  Range: (cx) => [{ dtype: typeOf(cx, 0).dtype, shape: [unknown(cx, 0)] }],
  NonZero: (cx) => [{ dtype: "i64", shape: [typeOf(cx, 0).shape.length, unknown(cx, "count")] }],
  Compress: (cx) => {
    const { dtype, shape } = typeOf(cx, 0);
    const axis = cx.int("axis");
    if (axis === undefined) return [{ dtype, shape: [unknown(cx, 0)] }];
    return [{ dtype, shape: shape.map((dim, i) => (i === cx.axis(axis, shape.length) ? unknown(cx, i) : dim)) }];
  },
  Gather: (cx) => {
    const [x, at] = [typeOf(cx, 0), typeOf(cx, 1)];
    const axis = cx.axis(cx.int("axis", 0), x.shape.length);
    return [{ dtype: x.dtype, shape: [...x.shape.slice(0, axis), ...at.shape, ...x.shape.slice(axis + 1)] }];
  },
  GatherElements: (cx) => [{ dtype: typeOf(cx, 0).dtype, shape: typeOf(cx, 1).shape }],
  GatherND: (cx) => {
    const [x, at] = [typeOf(cx, 0), typeOf(cx, 1).shape];
    const depth = at.at(-1);
    if (depth === undefined || !isStatic(depth)) return unmodelled("its rank is known at run time only");
    return [{ dtype: x.dtype, shape: [...at.slice(0, -1), ...x.shape.slice(cx.int("batch_dims", 0) + depth)] }];
  },
  Concat: (cx) => {
    const types = cx.inputs.map((_, i) => typeOf(cx, i));
    const { dtype, shape } = types[0]!;
    const axis = cx.axis(cx.int("axis", 1), shape.length);
    return [{ dtype, shape: shape.map((dim, i) => (i === axis ? types.map((t) => t.shape[i]!).reduce(add) : dim)) }];
  },
  ReduceProd: reduced,
  ReduceLogSum: reduced,
  ReduceLogSumExp: reduced,
  ReduceMax: reduced,
  ReduceMin: reduced,
  ReduceMean: reduced,
  ReduceSum: reduced,
  TopK: (cx) => {
    const { dtype, shape } = typeOf(cx, 0);
    const axis = cx.axis(cx.int("axis", -1), shape.length);
    const cut = shape.map((dim, i) => (i === axis ? unknown(cx, i) : dim));
    return [
      { dtype, shape: cut },
      { dtype: "i64", shape: cut },
    ];
  },
  CenterCropPad: openAxes,
  DepthToSpace: openAxes,
  SpaceToDepth: openAxes,
  MultiHeadAttention: (cx) => {
    const q = typeOf(cx, 0);
    if (q.shape.length !== 3 || !cx.has(2) || typeOf(cx, 2).shape.length !== 3 || cx.isUsed(1))
      return unmodelled("it is packed or keeps a cache");
    return [{ dtype: q.dtype, shape: [q.shape[0]!, q.shape[1]!, typeOf(cx, 2).shape.at(-1)!] }];
  },
};

const rules: ReadonlyMap<string, TypeRule> = new Map(Object.entries(table));

/** Types of a node's results as its operator gives them; throws `Unmodelled` where that is not known. */
export function opaqueTypes(cx: NodeContext): Types {
  const rule = domains.has(cx.node.domain) ? rules.get(cx.node.opType) : undefined;
  return rule ? rule(cx) : unmodelled(`the type of ${cx.node.opType} is not known`);
}
