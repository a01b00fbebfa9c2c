import type { Build } from "../../ir/arena.ts";
import { type Dim, mul, sum } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { axisFromFirst, sameShape } from "../../ir/types.ts";
import { type Match, type Rule, rule } from "../rewrite/rule.ts";
import { a, loose, t, x, y } from "../rewrite/term.ts";

type Perm = readonly number[];

export const isIdentity = (perm: Perm): boolean => perm.every((axis, i) => axis === i);
/** The permutation that does `first`, then `second`. */
const compose = (first: Perm, second: Perm): Perm => second.map((axis) => first[axis]!);
export const invert = (perm: Perm): Perm => perm.map((_, axis) => perm.indexOf(axis));

/** Whether a permutation only moves axes of size 1, so that the elements stay where they are. */
function movesNothing(perm: Perm, shape: readonly Dim[]): boolean {
  const large = perm.filter((axis) => shape[axis] !== 1);
  return large.every((axis, i) => i === 0 || axis > large[i - 1]!);
}

const unchanged = (name: string, op: "reshape" | "broadcast"): Rule =>
  rule({
    name,
    formula: `${op}(x) = x where the shape is the same`,
    left: t[op](x, { shape: a("shape") }),
    right: (m) => (sameShape(m.value("x").type.shape, m.root.type.shape) ? m.value("x") : undefined),
  });

const transposes: readonly Rule[] = [
  rule({
    name: "transpose-identity",
    formula: "transpose(x) = x where the order is the same",
    left: t.transpose(x, { perm: a("p") }),
    right: (m) => (isIdentity(m.attr("p")) ? m.value("x") : undefined),
  }),
  rule({
    name: "transpose-transpose",
    formula: "(xᵖ)ᵠ = x^(p∘q)",
    left: t.transpose(t.transpose(x, { perm: a("p") }), { perm: a("q") }),
    right: (m, b) => b.transpose(m.value("x"), { perm: compose(m.attr("p"), m.attr("q")) }),
  }),
  rule({
    name: "transpose-moves-nothing",
    formula: "transpose(x) = reshape(x) where only axes of size 1 move",
    left: t.transpose(x, { perm: a("p") }),
    right: (m, b) =>
      movesNothing(m.attr("p"), m.value("x").type.shape)
        ? b.reshape(m.value("x"), { shape: m.root.type.shape })
        : undefined,
  }),
];

const reshapes: readonly Rule[] = [
  unchanged("reshape-identity", "reshape"),
  rule({
    name: "reshape-reshape",
    left: t.reshape(t.reshape(x, { shape: a("p") }), { shape: a("q") }),
    right: t.reshape(x, { shape: a("q") }),
  }),
  unchanged("broadcast-identity", "broadcast"),
  rule({
    name: "broadcast-broadcast",
    left: t.broadcast(t.broadcast(x, { shape: a("p") }), { shape: a("q") }),
    right: t.broadcast(x, { shape: a("q") }),
  }),
];

/** For each axis of `to`, the axes of `from` it is made of, in order; undefined where an axis is cut apart. */
function mergedAxes(from: readonly Dim[], to: readonly Dim[]): readonly (readonly number[])[] | undefined {
  const groups: number[][] = [];
  let at = 0;
  for (const dim of to) {
    const group: number[] = [];
    let size: Dim = 1;
    while (size !== dim && at < from.length) {
      group.push(at);
      size = mul(size, from[at++]!);
    }
    if (size !== dim) return undefined;
    groups.push(group);
  }
  // What is left has size 1 and goes with the last axis.
  const rest = from.slice(at);
  if (rest.some((dim) => dim !== 1) || (rest.length > 0 && groups.length === 0)) return undefined;
  groups.at(-1)?.push(...rest.map((_, i) => at + i));
  return groups;
}

/**
 * A sum of operands that are both smaller than it, cut apart: where only the first axis is, which an operand has all of or
 * not at all, the operands are cut instead.
 */
const outerSums: readonly Rule[] = (["add", "and", "or"] as const).map((op) =>
  rule({
    name: `reshape-of-outer-${op}`,
    formula: `reshape(${op}(x, y)) = ${op}(reshape(x), reshape(y)) where the first axis is cut apart, x and y being smaller`,
    left: t.reshape(t[op](x, y)),
    right: (m, b) => {
      const whole = m.root.node.operands[0]!.type.shape;
      const cut = m.root.type.shape.slice(0, m.root.type.shape.length - whole.length + 1);
      const rest = whole.slice(1);
      // Sums stay what they are where an axis of 1 is added; conditions are looked for by their parts.
      const pieces = op === "add" ? cut.filter((dim) => dim !== 1) : cut;
      const isCut = pieces.length > 1 && sameShape(m.root.type.shape.slice(cut.length), rest);
      const operands = [m.value("x"), m.value("y")];
      if (!isCut || operands.some(({ type }) => sameShape(type.shape, whole))) return undefined;
      const apart = (value: Value): Value => {
        const { shape } = value.type;
        if (shape.length < whole.length) return value;
        const first = shape[0] === 1 ? cut.map(() => 1) : cut;
        return b.reshape(value, { shape: [...first, ...shape.slice(1)] });
      };
      const [left, right] = operands.map(apart) as [Value, Value];
      const made = b[op](left, right);
      return sameShape(made.type.shape, m.root.type.shape) ? made : undefined;
    },
  }),
);

/** Axes that are merged, moved together and come apart again need not be merged. */
const aroundTransposes: readonly Rule[] = [
  rule({
    name: "merged-transpose-split",
    formula:
      "reshape(transpose(reshape(x))) = reshape(transpose(x)) where the first reshape merges axes, and the second cuts none",
    left: t.reshape(t.transpose(t.reshape(x), { perm: a("p") })),
    right: (m, b) => {
      const { shape } = m.value("x").type;
      const perm = m.attr<Perm>("p");
      const moved = m.root.node.operands[0]!.type.shape;
      const groups = mergedAxes(
        shape,
        perm.map((_, axis) => moved[perm.indexOf(axis)]!),
      );
      const order = groups && perm.flatMap((axis) => groups[axis]!);
      const apart = order?.map((axis) => shape[axis]!);
      if (!order || !apart || shape.length <= perm.length || !mergedAxes(apart, m.root.type.shape)) return undefined;
      return b.reshape(b.transpose(m.value("x"), { perm: order }), { shape: m.root.type.shape });
    },
  }),
];

const cuts: readonly Rule[] = [
  rule({
    name: "slice-all",
    formula: "slice(x) = x where it keeps everything",
    left: t.slice(x, { axis: a("axis"), start: a("start"), end: a("end") }),
    right: (m) =>
      m.attr<Dim>("start") === 0 && m.root.type.shape.at(m.attr("axis")) === m.value("x").type.shape.at(m.attr("axis"))
        ? m.value("x")
        : undefined,
  }),
  rule({
    name: "slice-slice",
    formula: "slice(slice(x)) along one axis is one slice",
    left: t.slice(t.slice(x, { axis: a("p"), start: a("s"), end: a("e") }), {
      axis: a("q"),
      start: a("u"),
      end: a("w"),
    }),
    right: (m, b) => {
      const rank = m.root.type.shape.length;
      if (axisFromFirst(m.attr("p"), rank) !== axisFromFirst(m.attr("q"), rank)) return undefined;
      const start = sum([m.attr<Dim>("s"), m.attr<Dim>("u")]);
      const end = sum([m.attr<Dim>("s"), m.attr<Dim>("w")]);
      return b.slice(m.value("x"), { axis: m.attr("q"), start, end });
    },
  }),
  rule({
    name: "pad-nothing",
    formula: "pad(x) by nothing = x",
    left: t.pad(x, { low: 0, high: 0 }),
    right: x,
  }),
  rule({
    name: "split-whole",
    formula: "split(x) into one part = x",
    left: t.split(x, { sizes: a("sizes") }),
    right: (m) => (m.attr<readonly Dim[]>("sizes").length === 1 ? m.value("x") : undefined),
  }),
  rule({
    name: "split-of-concat",
    formula: "split(concat(x, …)) = x, … where the parts are the same",
    left: t.split(x, { axis: a("axis"), sizes: a("sizes") }),
    right: splitOfConcat,
  }),
  rule({
    name: "slice-of-concat",
    formula: "slice(concat(x, …)) = x where it keeps one part",
    left: t.slice(x, { axis: a("axis"), start: a("start"), end: a("end") }),
    right: sliceOfConcat,
  }),
];

function splitOfConcat(m: Match): readonly Value[] | undefined {
  const joined = m.value("x").node;
  const rank = m.value("x").type.shape.length;
  if (joined.op !== "concat" || !sameAxis(joined.attrs.get("axis"), m.attr("axis"), rank)) return undefined;
  const sizes = m.attr<readonly Dim[]>("sizes");
  const same = sameShape(
    sizes,
    joined.operands.map(({ type }) => type.shape.at(m.attr("axis"))!),
  );
  return same ? joined.operands : undefined;
}

function sliceOfConcat(m: Match): Value | undefined {
  const joined = m.value("x").node;
  const axis = m.attr<number>("axis");
  if (joined.op !== "concat" || !sameAxis(joined.attrs.get("axis"), axis, m.root.type.shape.length)) return undefined;
  let start: Dim = 0;
  for (const part of joined.operands) {
    const end = sum([start, part.type.shape.at(axis)!]);
    if (start === m.attr<Dim>("start") && end === m.attr<Dim>("end")) return part;
    start = end;
  }
  return undefined;
}

const sameAxis = (p: unknown, q: number, rank: number): boolean =>
  axisFromFirst(p as number, rank) === axisFromFirst(q, rank);

/** The whole that consecutive parts were cut from, where they are joined again in order. */
function joinedAgain(parts: readonly Value[], axis: number): Value | undefined {
  const first = parts[0]!.node;
  const whole = first.operands[0];
  if (!whole || (first.op !== "split" && first.op !== "slice")) return undefined;
  const rank = whole.type.shape.length;
  if (!sameAxis(first.attrs.get("axis"), axis, rank)) return undefined;
  if (first.op === "split")
    return parts.length === first.results.length && parts.every((part, i) => part === first.results[i])
      ? whole
      : undefined;
  let start: Dim = 0;
  for (const { node } of parts) {
    const cut = node.op === "slice" && node.operands[0] === whole && sameAxis(node.attrs.get("axis"), axis, rank);
    if (!cut || node.attrs.get("start") !== start) return undefined;
    start = node.attrs.get("end") as Dim;
  }
  return start === whole.type.shape.at(axis) ? whole : undefined;
}

const joins: readonly Rule[] = [
  rule({
    name: "concat-single",
    formula: "concat(x) = x",
    left: loose("concat"),
    right: (m) => (m.root.node.operands.length === 1 ? m.root.node.operands[0] : undefined),
  }),
  rule({
    name: "concat-of-parts",
    formula: "concat of the consecutive parts of x = x",
    left: loose("concat", { axis: a("axis") }),
    right: (m) => joinedAgain(m.root.node.operands, m.attr("axis")),
  }),
  rule({
    name: "concat-of-transposes",
    formula: "concat(xᵖ, yᵖ, …) = concat(x, y, …)ᵖ",
    left: loose("concat", { axis: a("axis") }),
    right: (m, b) => {
      const parts = m.root.node.operands.map(({ node }) => node);
      const perm = parts[0]!.attrs.get("perm") as Perm | undefined;
      const alike =
        perm && parts.every(({ op, attrs }) => op === "transpose" && sameShape(attrs.get("perm") as Perm, perm));
      if (!alike) return undefined;
      const axis = perm[axisFromFirst(m.attr("axis"), perm.length)]!;
      return b.transpose(b.concat(...parts.map(({ operands }) => operands[0]!), { axis }), { perm });
    },
  }),
];

const reduceOps = ["reduceSum", "reduceMax", "reduceMin", "reduceMean"] as const;

/** The shape a reduction has when it keeps its axes. */
const keptShape = (shape: readonly Dim[], axes: readonly number[]): readonly Dim[] => {
  const reduced = new Set(axes.map((axis) => axisFromFirst(axis, shape.length)));
  return shape.map((dim, axis) => (reduced.has(axis) ? 1 : dim));
};

const keptAxes: readonly Rule[] = reduceOps.map((op) =>
  rule({
    name: `${op}-keeps-axes`,
    formula: `reshape(${op}(x)) = ${op}(x) {keepDims = true} where the reshape puts the axes back`,
    left: t.reshape(t[op](x, { axes: a("axes"), keepDims: false })),
    right: (m, b) => {
      const axes = m.attr<readonly number[]>("axes");
      if (!sameShape(m.root.type.shape, keptShape(m.value("x").type.shape, axes))) return undefined;
      return b[op](m.value("x"), { axes, keepDims: true });
    },
  }),
);

const reductions: readonly Rule[] = reduceOps.map((op) =>
  rule({
    name: `${op}-of-one`,
    formula: `${op}(x) = reshape(x) where every reduced axis has size 1`,
    left: t[op](x, { axes: a("axes") }),
    right: (m, b: Build) => {
      const { shape } = m.value("x").type;
      const single = m.attr<readonly number[]>("axes").every((axis) => shape.at(axis) === 1);
      return single ? b.reshape(m.value("x"), { shape: m.root.type.shape }) : undefined;
    },
  }),
);

/** Elements that move for nothing. */
export const movement: readonly Rule[] = [
  ...transposes,
  ...reshapes,
  ...aroundTransposes,
  ...outerSums,
  ...cuts,
  ...joins,
  ...keptAxes,
  ...reductions,
];
