import { add, atLeast, type Dim, mul, product, sub, sum } from "../../ir/dim.ts";
import { countsPlaces } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { type Rule, rule } from "../rewrite/rule.ts";
import { scalarOf } from "../rewrite/scalar.ts";
import { spread } from "../rewrite/spread.ts";
import { t, x, y } from "../rewrite/term.ts";

/** Integers that are `first + step · i` at index i of one axis, counted from the last, and alike along all others. */
interface Progression {
  readonly first: Dim;
  readonly step: number;
  /** Without meaning where the step is 0. */
  readonly axis: number;
  readonly length: Dim;
}

const maxDepth = 24;
const same = (first: Dim): Progression => ({ first, step: 0, axis: 0, length: 1 });
/** A single element takes no step: it may be repeated. */
const along = (p: Progression): Progression => (p.length === 1 ? same(p.first) : p);

/** What is known of an integer tensor's elements from how it was counted out. */
function progression(value: Value, depth = 0): Progression | undefined {
  const { node, type } = value;
  if (depth > maxDepth || !countsPlaces(type.dtype)) return undefined;
  const [a, b] = node.operands;
  const below = (operand: Value) => progression(operand, depth + 1);
  const number = scalarOf(value);
  if (number !== undefined) return Number.isSafeInteger(number) ? same(number) : undefined;
  switch (node.op) {
    case "iota":
      return along({ first: 0, step: 1, axis: 0, length: type.shape[0]! });
    case "size":
      return same(node.attrs.get("of") as Dim);
    case "broadcast":
      return below(a!);
    case "cast":
      return below(a!);
    case "reshape":
      return reshaped(below(a!), a!.type.shape, type.shape);
    case "slice":
      return sliced(below(a!), value);
    case "concat":
      return joined(node.operands.map(below), value);
    case "add":
    case "sub":
      return combined(below(a!), below(b!), node.op === "add" ? 1 : -1);
    default:
      return undefined;
  }
}

function combined(p: Progression | undefined, q: Progression | undefined, sign: 1 | -1): Progression | undefined {
  if (!p || !q || (p.step !== 0 && q.step !== 0 && (p.axis !== q.axis || p.length !== q.length))) return undefined;
  const { axis, length } = p.step !== 0 ? p : q;
  return { first: add(p.first, mul(sign, q.first)), step: p.step + sign * q.step, axis, length };
}

/** Under a reshape the axis stays one: as much lies before it, and as much in it. */
function reshaped(p: Progression | undefined, from: readonly Dim[], to: readonly Dim[]): Progression | undefined {
  if (!p || p.step === 0) return p;
  const at = from.length - 1 - p.axis;
  const ahead = product(from.slice(0, at));
  const axis = to.findIndex((dim, i) => dim === from[at] && product(to.slice(0, i)) === ahead);
  return axis < 0 ? undefined : { ...p, axis: to.length - 1 - axis };
}

const axisFromLast = (value: Value): number => {
  const rank = value.type.shape.length;
  const axis = value.node.attrs.get("axis") as number;
  return rank - 1 - ((axis + rank) % rank);
};

function sliced(p: Progression | undefined, value: Value): Progression | undefined {
  if (!p || p.step === 0 || p.axis !== axisFromLast(value)) return p;
  const start = value.node.attrs.get("start") as Dim;
  return along({ ...p, first: add(p.first, mul(p.step, start)), length: value.type.shape.at(-1 - p.axis)! });
}

/** Parts that go on where the one before ends; a single element goes on any way. */
function joined(parts: readonly (Progression | undefined)[], value: Value): Progression | undefined {
  const axis = axisFromLast(value);
  const steps = parts.filter((part) => part?.step !== 0 && part?.axis === axis);
  const step = steps[0]?.step ?? 0;
  const sizes = value.node.operands.map(({ type }) => type.shape.at(-1 - axis)!);
  let expected: Dim | undefined;
  for (const [i, part] of parts.entries()) {
    const isAlong = part && (part.step === 0 || part.axis === axis);
    if (!isAlong || (sizes[i] !== 1 && part.step !== step)) return undefined;
    if (expected !== undefined && part.first !== expected) return undefined;
    expected = add(part.first, mul(step, sizes[i]!));
  }
  const { first } = parts[0]!;
  return { first, step, axis, length: sum(sizes) };
}

/** Smallest and largest element. */
function extremes(p: Progression): readonly [low: Dim, high: Dim] {
  const last = add(p.first, mul(p.step, sub(p.length, 1)));
  return p.step >= 0 ? [p.first, last] : [last, p.first];
}

/** Whether `y - x` is in a range wherever they meet. */
function difference(left: Value, right: Value): readonly [low: Dim, high: Dim] | undefined {
  const p = combined(progression(right), progression(left), -1);
  return p && extremes(p);
}

const always = (
  name: "equal" | "less" | "lessEqual",
  says: string,
  test: (low: Dim, high: Dim) => number | undefined,
): Rule =>
  rule({
    name: `${name === "lessEqual" ? "less-equal" : name}-of-indices`,
    formula: `${name}(x, y) is one truth where x and y are counted out so that ${says}`,
    left: t[name](x, y),
    right: (m, b) => {
      const range = difference(m.value("x"), m.value("y"));
      const truth = range && test(...range);
      return truth === undefined ? undefined : spread(b, b.scalar(truth, "bool"), m.root);
    },
  });

const decided = (yes: boolean, no: boolean): number | undefined => (yes ? 1 : no ? 0 : undefined);

/** Comparisons of positions that come out alike for every element. */
export const indices: readonly Rule[] = [
  always("equal", "y - x is 0, or never 0", (low, high) =>
    decided(low === 0 && high === 0, atLeast(low, 1) || atLeast(-1, high)),
  ),
  always("less", "y - x is always above 0, or never", (low, high) => decided(atLeast(low, 1), atLeast(0, high))),
  always("lessEqual", "y - x is never below 0, or always", (low, high) => decided(atLeast(low, 0), atLeast(-1, high))),
  rule({
    name: "cumsum-of-zeros",
    formula: "cumsum(0, 0, …) = 0, 0, …",
    left: t.cumsum(x),
    right: (m) => {
      const p = progression(m.value("x"));
      return p?.step === 0 && p.first === 0 ? m.value("x") : undefined;
    },
  }),
];
