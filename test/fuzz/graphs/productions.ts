import { atLeast, type Dim, evaluate, mul, product, sub, symbol, symbolsOf } from "../../../src/ir/dim.ts";
import { type DType, isFloat, isInteger } from "../../../src/ir/dtype.ts";
import type { Value } from "../../../src/ir/graph.ts";
import type { OpName } from "../../../src/ir/ops/index.ts";
import type { TensorType } from "../../../src/ir/types.ts";
import { activation } from "../../pipeline/support/blocks/activation.ts";
import { branched } from "../../pipeline/support/blocks/control.ts";
import { linear } from "../../pipeline/support/blocks/linear.ts";
import { norm } from "../../pipeline/support/blocks/norm.ts";
import { attentions } from "./attention-productions.ts";
import { scanned } from "./control-productions.ts";
import { type Grower, number } from "./grower.ts";

/** Applies one op to values of the pool, so that its constraints hold; undefined where nothing in the pool fits. */
export type Production = (m: Grower) => Value | readonly Value[] | undefined;

type Domain = (dtype: DType) => boolean;

const isNumber: Domain = (dtype) => isFloat(dtype) || isInteger(dtype);
/** The runtime has no error function of its own for f64, and computes it in f32. */
const isSingle: Domain = (dtype) => dtype === "f32";
const isWide: Domain = (dtype) => dtype === "i64" || dtype === "i32";
const isBool: Domain = (dtype) => dtype === "bool";

const make = (m: Grower, op: OpName, operands: readonly Value[], attrs: Record<string, unknown> = {}) =>
  m.arena.node(op, operands, attrs).results;

/** An operand shifted or bent into where the op is defined and tame; now and then as it is. */
type Guard = (m: Grower, x: Value) => Value;

const apart: Guard = (m, x) => m.b.add(m.b.abs(x), m.b.scalar(isFloat(x.type.dtype) ? 0.5 : 1, x.type.dtype));
const capped: Guard = (m, x) => m.b.min(x, m.b.scalar(3, x.type.dtype));

function unary(op: OpName, domain: Domain, guard?: Guard): Production {
  return (m) => {
    const x = m.some(({ dtype }) => domain(dtype));
    return x && make(m, op, [guard && m.draw.chance(0.8) ? guard(m, x) : x]);
  };
}

/** Both orders are tried; `guard` is for the second operand, and always there for integers, which trap on 0. */
function binary(op: OpName, domain: Domain, guard?: Guard): Production {
  return (m) => {
    const x = m.some(({ dtype }) => domain(dtype));
    if (!x) return undefined;
    const y = m.beside(x.type);
    const [left, right] = m.draw.chance(0.5) ? [x, y] : [y, x];
    const guarded = guard && (isInteger(x.type.dtype) || m.draw.chance(0.7)) ? guard(m, right) : right;
    return make(m, op, [left, guarded]);
  };
}

const pow: Production = (m) => {
  const x = m.some(({ dtype }) => isFloat(dtype));
  if (!x) return undefined;
  const exponents = [2, 3, 0.5, -1, 1, 0, -0.5];
  if (m.draw.chance(0.6)) {
    const exponent = m.draw.pick(exponents);
    return make(m, "pow", [
      Number.isInteger(exponent) && exponent >= 0 ? x : apart(m, x),
      m.b.scalar(exponent, x.type.dtype),
    ]);
  }
  return make(m, "pow", [apart(m, x), capped(m, m.beside(x.type))]);
};

const axisOf = ({ draw }: Grower, { shape }: TensorType): number => {
  const axis = draw.int(0, shape.length - 1);
  return draw.chance(0.3) ? axis - shape.length : axis;
};
const hasAxis: (type: TensorType) => boolean = ({ shape }) => shape.length > 0;
const dimAt = (x: Value, axis: number): Dim => x.type.shape.at(axis)!;
const withDim = ({ type: { shape } }: Value, axis: number, dim: Dim): readonly Dim[] =>
  shape.map((old, i) => (i === (axis < 0 ? axis + shape.length : axis) ? dim : old));

function reduction(op: OpName, domain: Domain): Production {
  return (m) => {
    const x = m.some(({ dtype }) => domain(dtype));
    if (!x) return undefined;
    const rank = x.type.shape.length;
    const axes = m.draw.shuffled(x.type.shape.map((_, i) => i)).slice(0, m.draw.int(0, Math.min(rank, 2)));
    const signed = axes.map((axis) => (m.draw.chance(0.3) ? axis - rank : axis));
    return make(m, op, [x], { axes: signed, keepDims: m.draw.chance(0.5) });
  };
}

function alongAxis(op: OpName, domain: Domain, attrs: (m: Grower) => Record<string, unknown> = () => ({})): Production {
  return (m) => {
    const x = m.some((type) => domain(type.dtype) && hasAxis(type));
    return x && make(m, op, [x], { axis: axisOf(m, x.type), ...attrs(m) });
  };
}

/** Axes joined, cut in two, or 1s put in and taken out. */
const reshape: Production = (m) => {
  const x = m.some(() => true);
  if (!x) return undefined;
  const { shape } = x.type;
  const at = m.draw.int(0, shape.length);
  const dim = shape[at];
  const divisors = typeof dim === "number" ? [1, 2, 3, 4].filter((n) => dim % n === 0) : [1];
  const divisor = m.draw.pick(divisors);
  const cut = typeof dim === "number" ? [divisor, dim / divisor] : [dim ?? 1];
  return m.draw.pick([
    () => make(m, "reshape", [x], { shape: [...shape.slice(0, at), 1, ...shape.slice(at)] }),
    () => make(m, "reshape", [x], { shape: shape.filter((each) => each !== 1) }),
    () =>
      make(m, "reshape", [x], {
        shape:
          at + 1 < shape.length ? [...shape.slice(0, at), mul(dim!, shape[at + 1]!), ...shape.slice(at + 2)] : shape,
      }),
    () =>
      make(m, "reshape", [x], {
        shape: dim === undefined ? [1, ...shape] : [...shape.slice(0, at), ...cut, ...shape.slice(at + 1)],
      }),
    () => make(m, "reshape", [x], { shape: [product(shape)] }),
  ])();
};

const broadcast: Production = (m) => {
  const x = m.some(() => true);
  if (!x) return undefined;
  const stretched = x.type.shape.map((dim) =>
    dim === 1 && m.draw.chance(0.7) ? m.draw.pick<Dim>([2, m.tokens]) : dim,
  );
  const lead = m.draw.chance(0.4) ? [m.draw.pick<Dim>([1, 2, m.batch])] : [];
  return make(m, "broadcast", [x], { shape: [...lead, ...stretched] });
};

/** Whether nothing is left of an axis where all symbols are 1. */
const isEmptyWhenLeast = (dim: Dim): boolean => evaluate(dim, new Map(symbolsOf(dim).map((name) => [name, 1]))) < 1;

const slice: Production = (m) => {
  const x = m.some(hasAxis);
  if (!x) return undefined;
  const axis = axisOf(m, x.type);
  const dim = dimAt(x, axis);
  const spans: readonly (readonly [Dim, Dim])[] =
    typeof dim === "number"
      ? [[m.draw.int(0, Math.floor(dim / 2)), m.draw.int(Math.ceil(dim / 2), dim)]]
      : isEmptyWhenLeast(dim)
        ? [[0, dim]]
        : [
            [0, dim],
            [1, dim],
            [0, sub(dim, 1)],
            [sub(dim, 1), dim],
          ];
  const [start, end] = m.draw.pick(spans);
  return make(m, "slice", [x], { axis, start, end });
};

const concat: Production = (m) => {
  const x = m.some(hasAxis);
  if (!x) return undefined;
  const axis = axisOf(m, x.type);
  const other = () =>
    m.draw.chance(0.3) ? x : m.of(x.type.dtype, withDim(x, axis, m.draw.pick<Dim>([1, 2, dimAt(x, axis), m.past])));
  const parts = Array.from({ length: m.draw.int(0, 2) }, other);
  return make(m, "concat", m.draw.shuffled([x, ...parts]), { axis });
};

const split: Production = (m) => {
  const x = m.some(hasAxis);
  if (!x) return undefined;
  const axis = axisOf(m, x.type);
  const dim = dimAt(x, axis);
  const first = typeof dim === "number" ? m.draw.int(0, dim) : isEmptyWhenLeast(dim) ? 0 : 1;
  const sizes = m.draw.chance(0.2) ? [dim] : [first, sub(dim, first)];
  return make(m, "split", [x], { axis, sizes });
};

const pad: Production = (m) => {
  const x = m.some((type) => hasAxis(type) && !isBool(type.dtype));
  if (!x) return undefined;
  const amount = () => m.draw.pick<Dim>([0, 1, 2, 2, m.past]);
  const value = m.draw.pick(isFloat(x.type.dtype) ? [0, 0, 1, -0.5] : [0, 1]);
  return make(m, "pad", [x], { axis: axisOf(m, x.type), low: amount(), high: amount(), value });
};

/** Whole numbers from 0 up to a size: the remainder of any, or all of them in order. */
function indices(m: Grower, below: Dim, shape: readonly Dim[]): Value {
  const dtype = m.draw.pick(["i64", "i64", "i32"] as const);
  if (m.draw.chance(0.2) && shape.length === 1 && shape[0] === below) return m.b.iota({ size: below, dtype });
  const size = m.b.cast(m.b.size({ of: below }), { to: dtype });
  return m.b.mod(m.of(dtype, shape), typeof below === "number" ? m.b.scalar(below, dtype) : size);
}

/** What is picked out of, along which axis, by which indices; axes of no elements have no index. */
function picking(m: Grower, fits: (type: TensorType) => boolean) {
  const x = m.some((type) => hasAxis(type) && fits(type));
  if (!x) return undefined;
  const axis = m.draw.int(0, x.type.shape.length - 1);
  const dim = dimAt(x, axis);
  if (evaluate(dim, m.sizes) === 0 || (typeof dim !== "number" && atLeast(0, sub(dim, 1)))) return undefined;
  const batch = m.draw.chance(0.5) ? 0 : m.draw.int(0, axis);
  const own = Array.from({ length: m.draw.int(0, 2) }, () => m.draw.pick<Dim>([1, 2, 3, m.tokens]));
  return { x, at: indices(m, dim, [...x.type.shape.slice(0, batch), ...own]), attrs: { axis, batch } };
}

const gather: Production = (m) => {
  const found = picking(m, () => true);
  return found && make(m, "gather", [found.x, found.at], found.attrs);
};

const scatter: Production = (m) => {
  const found = picking(m, ({ dtype }) => isNumber(dtype));
  if (!found) return undefined;
  const { x, at, attrs } = found;
  const { type } = m.b.gather(x, at, attrs);
  const reduction = m.draw.pick(["none", "add"]);
  return make(m, "scatter", [x, at, m.of(type.dtype, type.shape)], { ...attrs, reduction });
};

/** Rows where a mask is true, worked on and put back or summed: how many there are stays inside. */
const flatNonZero: Production = (m) => {
  const { b, draw } = m;
  const x = m.some(({ dtype, shape }) => isSingle(dtype) && shape.length > 0);
  if (!x) return undefined;
  const rows = dimAt(x, 0);
  const at = b.flatNonZero(m.of("bool", [rows]), { count: symbol(`N${m.pool.length}`) });
  const picked = b.tanh(b.gather(x, at, { axis: 0 }));
  return draw.chance(0.5) ? b.scatter(x, at, picked, { axis: 0 }) : b.reduceSum(picked, { axes: [0] });
};

const topK: Production = (m) => {
  const x = m.some((type) => isNumber(type.dtype) && hasAxis(type));
  if (!x) return undefined;
  const axis = axisOf(m, x.type);
  const dim = dimAt(x, axis);
  const k = typeof dim === "number" ? m.draw.int(Math.min(dim, 1), dim) : m.draw.pick<Dim>([1, dim]);
  return make(m, "topK", [x], { k, axis, largest: m.draw.chance(0.7) });
};

const mostProducts = 20_000;

/** Labels meet where dims are the same; which are kept, and in which order, is drawn. */
function contraction(op: "contract" | "einsum"): Production {
  return (m) => {
    const first = m.some((type) => isSingle(type.dtype) && type.shape.length <= 4);
    if (!first) return undefined;
    const dims = new Map<string, Dim>();
    const label = (dim: Dim, mine: ReadonlySet<string>) => {
      const known = [...dims].filter(([name, each]) => each === dim && (!mine.has(name) || m.draw.chance(0.1)));
      if (known.length > 0 && m.draw.chance(0.75)) return m.draw.pick(known)[0];
      const name = String.fromCharCode(97 + dims.size);
      dims.set(name, dim);
      return name;
    };
    const labelled = (x: Value) => {
      const mine = new Set<string>();
      return x.type.shape.map((dim) => {
        const name = label(dim, mine);
        mine.add(name);
        return name;
      });
    };
    const operands = [first];
    const specs = [labelled(first)];
    for (let i = m.draw.int(0, 2); i > 0; i--) {
      const shape = m.draw.shuffled([...dims.values(), m.draw.pick<Dim>([1, 2, 3])]).slice(0, m.draw.int(1, 3));
      const x = m.of(first.type.dtype, shape);
      operands.push(x);
      specs.push(labelled(x));
    }
    if (m.count([...dims.values()]) > mostProducts) return undefined;
    const result = m.draw.shuffled([...dims.keys()].filter(() => m.draw.chance(0.6))).slice(0, 4);
    return make(m, op, operands, { spec: `${specs.map((each) => each.join(" ")).join(", ")} -> ${result.join(" ")}` });
  };
}

const width = ({ shape }: TensorType): number | undefined => {
  const last = shape.at(-1);
  return typeof last === "number" && last > 0 ? last : undefined;
};

/** A norm of x, with as many gains of its last axis as it takes. */
function normOf(op: OpName, gains: number, skips: boolean): Production {
  return (m) => {
    const x = m.some((type) => isSingle(type.dtype) && width(type) !== undefined);
    if (!x) return undefined;
    const skip = skips ? [m.of("f32", x.type.shape)] : [];
    const scale = Array.from({ length: gains }, () => m.of("f32", [width(x.type)!]));
    return make(m, op, [x, ...skip, ...scale], { epsilon: m.draw.pick([1e-5, 1e-3, 0.1]) });
  };
}

const biasGelu: Production = (m) => {
  const x = m.some((type) => isSingle(type.dtype) && width(type) !== undefined);
  return x && make(m, "biasGelu", [x, m.of("f32", [width(x.type)!])]);
};

const select: Production = (m) => {
  const x = m.some(() => true);
  if (!x) return undefined;
  const condition = m.beside({ dtype: "bool", shape: x.type.shape });
  const y = m.b.select(condition, x, x).type;
  return make(m, "select", m.draw.chance(0.5) ? [condition, x, m.beside(y)] : [condition, m.beside(y), x]);
};

const castable: readonly DType[] = ["f32", "f32", "f32", "f64", "f16", "i64", "i32", "bool"];

const cast: Production = (m) => {
  const x = m.some(() => true);
  return x && make(m, "cast", [x], { to: x.type.dtype === "f32" ? m.draw.pick(castable) : "f32" });
};

const leafShape = (m: Grower): readonly Dim[] =>
  Array.from({ length: m.draw.int(0, 3) }, () => m.draw.pick<Dim>([1, 2, 3, 4, m.tokens, m.past]));

/** One production, at least, for every op. */
export const productions: Readonly<Record<OpName, Production>> = {
  input: (m) => m.input(m.draw.pick(["f32", "f32", "i64", "bool"] as const), leafShape(m)),
  param: (m) => m.param(leafShape(m).map((dim) => (typeof dim === "number" ? dim : 2))),
  constant: (m) => number(m, m.draw.pick(["f32", "i64", "bool"] as const)),
  iota: (m) =>
    make(m, "iota", [], { size: m.draw.pick<Dim>([4, m.tokens, m.past]), dtype: m.draw.pick(["i64", "f32"]) }),
  size: (m) => make(m, "size", [], { of: m.draw.pick<Dim>([m.tokens, m.past, m.batch, mul(m.tokens, 2)]) }),
  neg: unary("neg", isNumber),
  abs: unary("abs", isNumber),
  sign: unary("sign", isNumber),
  exp: unary("exp", isFloat, capped),
  log: unary("log", isFloat, apart),
  sqrt: unary("sqrt", isFloat, apart),
  erf: unary("erf", isSingle),
  tanh: unary("tanh", isFloat),
  sin: unary("sin", isFloat),
  cos: unary("cos", isFloat),
  sigmoid: unary("sigmoid", isFloat),
  floor: unary("floor", isFloat),
  ceil: unary("ceil", isFloat),
  round: unary("round", isFloat),
  not: unary("not", isBool),
  add: binary("add", isNumber),
  sub: binary("sub", isNumber),
  mul: binary("mul", isNumber),
  div: binary("div", isNumber, apart),
  pow,
  max: binary("max", isNumber),
  min: binary("min", isNumber),
  mod: binary("mod", isNumber, apart),
  equal: binary("equal", () => true),
  less: binary("less", isNumber),
  lessEqual: binary("lessEqual", isNumber),
  and: binary("and", isBool),
  or: binary("or", isBool),
  select,
  cast,
  reduceSum: reduction("reduceSum", isNumber),
  reduceMax: reduction("reduceMax", isNumber),
  reduceMin: reduction("reduceMin", isNumber),
  reduceMean: reduction("reduceMean", isFloat),
  cumsum: alongAxis(
    "cumsum",
    (dtype) => isFloat(dtype) || isWide(dtype),
    ({ draw }) => ({
      exclusive: draw.chance(0.4),
      reverse: draw.chance(0.4),
    }),
  ),
  reshape,
  refine: (m) => {
    const x = m.some(() => true);
    return x && make(m, "refine", [x], { shape: x.type.shape });
  },
  transpose: (m) => {
    const x = m.some(({ shape }) => shape.length > 1);
    return x && make(m, "transpose", [x], { perm: m.draw.shuffled(x.type.shape.map((_, i) => i)) });
  },
  broadcast,
  slice,
  concat,
  split,
  pad,
  gather,
  scatter,
  flatNonZero,
  topK,
  contract: contraction("contract"),
  einsum: contraction("einsum"),
  softmax: alongAxis("softmax", isFloat),
  logSoftmax: alongAxis("logSoftmax", isFloat),
  layerNorm: (m) => normOf("layerNorm", m.draw.int(1, 2), false)(m),
  rmsNorm: normOf("rmsNorm", 1, false),
  skipLayerNorm: (m) => normOf("skipLayerNorm", m.draw.int(2, 3), true)(m),
  skipRmsNorm: normOf("skipRmsNorm", 1, true),
  relu: unary("relu", isFloat),
  elu: unary("elu", isFloat),
  gelu: (m) => {
    const x = m.some(({ dtype }) => isSingle(dtype));
    return x && make(m, "gelu", [x], { approximate: m.draw.pick(["none", "tanh"]) });
  },
  silu: unary("silu", isFloat),
  biasGelu,
  ...attentions,
  scan: scanned,
  // Only files have them.
  opaque: () => undefined,
  if: (m) => {
    const x = m.some(
      ({ dtype, shape }) => dtype === "f32" && shape.length === 3 && width({ dtype, shape }) !== undefined,
    );
    return x && branched(m, x, [activation, linear, norm]);
  },
};
