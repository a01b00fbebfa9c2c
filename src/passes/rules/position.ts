import type { Build } from "../../ir/arena.ts";
import { type Dim, isStatic } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { axisFromFirst, broadcastShapes, sameShape } from "../../ir/types.ts";
import type { Fusion, Matcher } from "../rewrite/fuse.ts";
import type { Miss } from "../rewrite/match.ts";
import { scalarOf, tensorOf } from "../rewrite/scalar.ts";

/** A part of a tensor along its last axis: from `start` up to `end`. */
export interface Part {
  readonly of: Value;
  readonly start: number;
  readonly end: number;
  /** What cuts it out. */
  readonly nodes: readonly Node[];
}

export const isLast = (axis: number, value: Value): boolean => {
  const rank = value.type.shape.length;
  return axisFromFirst(axis, rank) === rank - 1;
};

/** A tensor as the part it is of the one it was cut from; itself where it was not. */
export function partOf(value: Value): Part | undefined {
  const { node, index } = value;
  const [of] = node.operands;
  const width = value.type.shape.at(-1);
  if (width === undefined || !isStatic(width)) return undefined;
  const whole = { of: value, start: 0, end: width, nodes: [] };
  if ((node.op !== "slice" && node.op !== "split") || !isLast(node.attrs.get("axis") as number, of!)) return whole;
  const start = node.op === "slice" ? (node.attrs.get("start") as Dim) : before(node, index);
  const outer = start !== undefined && isStatic(start) ? partOf(of!) : undefined;
  if (!outer) return whole;
  const from = outer.start + (start as number);
  return { of: outer.of, start: from, end: from + width, nodes: [node, ...outer.nodes] };
}

/** Where a result of a split begins. */
function before(split: Node, index: number): number | undefined {
  const sizes = (split.attrs.get("sizes") as readonly Dim[]).slice(0, index);
  return sizes.every(isStatic) ? sizes.reduce((sum, size) => sum + size, 0) : undefined;
}

interface Turn {
  /** What is turned. */
  readonly x: Part;
  /** Pairs are neighbours instead of halves. */
  readonly interleaved: boolean;
  readonly covered: readonly Node[];
}

/** `concat(-x₂, x₁)` of the halves of x: x turned by a quarter; of neighbours, where x is cut into pairs for it. */
function quarterTurn(value: Value): Turn | undefined {
  const { node } = value;
  const inPairs = node.op === "reshape" && node.operands[0]!.type.shape.at(-1) === 2;
  const turn = turnOfHalves(inPairs ? node.operands[0]! : value);
  if (!turn || !inPairs) return turn;
  const pairs = turn.x.of.node;
  const [x] = pairs.operands;
  const cut = pairs.op === "reshape" && turn.x.end - turn.x.start === 2 ? partOf(x!) : undefined;
  return cut && sameShape(x!.type.shape, value.type.shape)
    ? { x: cut, interleaved: true, covered: [node, ...turn.covered, pairs] }
    : undefined;
}

function turnOfHalves(value: Value): Turn | undefined {
  const { node } = value;
  const [first, second, ...more] = node.operands;
  if (node.op !== "concat" || !second || more.length > 0 || !isLast(node.attrs.get("axis") as number, value))
    return undefined;
  const high = negated(first!);
  const low = partOf(second);
  if (!high || !low || high.of !== low.of || low.end !== high.start) return undefined;
  const half = low.end - low.start;
  if (high.end - high.start !== half || half === 0) return undefined;
  const x = { of: low.of, start: low.start, end: high.end, nodes: [] };
  return { x, interleaved: false, covered: [node, ...high.nodes, ...low.nodes] };
}

/** The part that a value is the negative of, whether or not it is negated without its last axis of size 1. */
function negated(value: Value): Part | undefined {
  const squeezes = value.node.op === "reshape" && value.type.shape.at(-1) === 1;
  const neg = squeezes ? value.node.operands[0]! : value;
  if (neg.node.op !== "neg") return undefined;
  const inner = neg.node.operands[0]!;
  const source = squeezes && inner.node.op === "reshape" ? inner.node.operands[0]! : inner;
  const part = sameShape(source.type.shape, value.type.shape) ? partOf(source) : undefined;
  return part && { ...part, nodes: [value.node, neg.node, inner.node, ...part.nodes] };
}

const sameElements = (p: Part, q: Part): boolean => p.of === q.of && p.start === q.start && p.end === q.end;

const onElements: ReadonlySet<string> = new Set(["cos", "sin", "cast", "neg"]);
const maxDepth = 16;

/** One of each pair of elements along the last axis of a table, where those of a pair are equal. */
type OneOfEach = (b: Build, value: Value, depth?: number) => Value | undefined;

/** The first half, where the second is the same. */
const equalHalf: OneOfEach = (b, value, depth = 0) => {
  const { node, type } = value;
  const width = type.shape.at(-1)!;
  if (node.op === "concat") {
    const [x, y] = node.operands;
    return node.operands.length === 2 && x === y && isLast(node.attrs.get("axis") as number, value) ? x : undefined;
  }
  if (node.op === "constant" && isStatic(width)) return constantHalf(b, value, width);
  return throughSteps(equalHalf, b, value, depth);
};

/** The first of each two neighbours, where the second is the same. */
const equalNeighbour: OneOfEach = (b, value, depth = 0) => {
  const { node, type } = value;
  const [x] = node.operands;
  const width = type.shape.at(-1)!;
  const last = x?.type.shape.at(-1);
  if (!isStatic(width) || width % 2 !== 0) return undefined;
  const halved = [...type.shape.slice(0, -1), width / 2];
  if (node.op === "constant") {
    const pairs = [...halved, 2];
    const cut = b.reshape(value, { shape: pairs });
    const half = b.reshape(b.slice(cut, { axis: -1, start: 0, end: 1 }), { shape: halved });
    return pairsAreEqual(value) ? half : undefined;
  }
  if (node.op === "reshape" && last === 2) {
    const half = equalHalf(b, x!, depth + 1);
    return half && b.reshape(half, { shape: halved });
  }
  return throughSteps(equalNeighbour, b, value, depth);
};

function pairsAreEqual(value: Value): boolean {
  const { data } = tensorOf(value)!;
  for (let i = 0; i < data.length; i += 2) if (data[i] !== data[i + 1]) return false;
  return true;
}

/** What a table's elements went through one by one, or together with the others of their axis, done to one of each pair. */
function throughSteps(one: OneOfEach, b: Build, value: Value, depth: number): Value | undefined {
  const { node, type } = value;
  const [x, y] = node.operands;
  const width = type.shape.at(-1)!;
  if (depth > maxDepth || !isStatic(width) || width % 2 !== 0) return undefined;
  const below = (inner: Value) => one(b, inner, depth + 1);
  const keepsLast = (inner: Value) => inner.type.shape.at(-1) === width;
  const halved = [...type.shape.slice(0, -1), width / 2];
  if (onElements.has(node.op)) {
    const half = below(x!);
    if (!half) return undefined;
    return node.op === "cast" ? b.cast(half, { to: type.dtype }) : b[node.op as "cos"](half);
  }
  if ((node.op === "mul" || node.op === "add") && scalarOf(y!) !== undefined && y!.type.shape.length === 0) {
    const half = below(x!);
    return half && b[node.op](half, y!);
  }
  if (node.op === "reshape" && keepsLast(x!)) {
    const half = below(x!);
    return half && b.reshape(half, { shape: halved });
  }
  if (node.op === "broadcast" && x!.type.shape.at(-1) === 1) return b.broadcast(x!, { shape: halved });
  if (node.op === "broadcast" && keepsLast(x!)) {
    const half = below(x!);
    return half && b.broadcast(half, { shape: halved });
  }
  if (node.op === "slice" && !isLast(node.attrs.get("axis") as number, value)) {
    const half = below(x!);
    return half && b.slice(half, Object.fromEntries(node.attrs) as { axis: number; start: Dim; end: Dim });
  }
  if (node.op === "gather" && x!.type.shape.length > 1 && !isLast(node.attrs.get("axis") as number, x!)) {
    const half = below(x!);
    return half && b.gather(half, y!, Object.fromEntries(node.attrs) as { axis: number; batch: number });
  }
  return undefined;
}

function constantHalf(b: Build, value: Value, width: number): Value | undefined {
  const { data } = tensorOf(value)!;
  const same = (at: number) => data[at] === data[at + width / 2];
  for (let row = 0; row < data.length; row += width)
    for (let i = 0; i < width / 2; i++) if (!same(row + i)) return undefined;
  return b.slice(value, { axis: -1, start: 0, end: width / 2 });
}

/** A table as kernels take it: one row for each position, where leading axes are 1. */
export function rows(b: Build, table: Value, x: Value): Value {
  const { shape } = table.type;
  const plain =
    shape.length > 2 && shape.slice(0, -2).every((dim) => dim === 1) && shape.at(-2) === x.type.shape.at(-2);
  return plain ? b.reshape(table, { shape: shape.slice(-2) }) : table;
}

const refuse = (at: Value, reason: string): Miss => ({ depth: 4, reason, at });
const unequal = "the cosines or sines of a pair are not known to be equal";
const widens = "the angles widen what they turn";

/** Rotary positions as exporters spell them: x · cos + (x turned by a quarter) · sin, each angle in its table twice. */
export const ropeMatcher: Matcher = {
  name: "rope",
  formula: "x · concat(c, c) + concat(-x₂, x₁) · concat(s, s) = rope(x, c, s), x₁ and x₂ the halves of x",
  roots: ["add"],
  refuses: [unequal, widens],
  match(root, cx) {
    const [left, right] = root.operands as [Value, Value];
    if (left.node.op !== "mul" || right.node.op !== "mul") return undefined;
    for (const [straight, turned] of [
      [left.node, right.node],
      [right.node, left.node],
    ] as const)
      for (const at of [0, 1]) {
        const turn = quarterTurn(turned.operands[at]!);
        const side = turn ? straight.operands.findIndex((value) => isTurned(value, turn)) : -1;
        if (!turn || side < 0) continue;
        const covered = [root, straight, turned, ...turn.covered];
        const shared = cx.exclusive(covered);
        if (shared) return { depth: covered.length, ...shared };
        const tables = [straight.operands[1 - side]!, turned.operands[1 - at]!] as const;
        return turnedBy(cx.arena.build, root, straight.operands[side]!, tables, turn.interleaved, covered);
      }
    return undefined;
  },
};

function isTurned(value: Value, { x }: Turn): boolean {
  const part = partOf(value);
  return part !== undefined && sameElements(part, x);
}

function turnedBy(
  b: Build,
  root: Node,
  x: Value,
  [cosines, sines]: readonly [Value, Value],
  interleaved: boolean,
  covered: readonly Node[],
): Fusion | Miss {
  const here = root.results[0]!;
  if (!sameShape(here.type.shape, x.type.shape)) return refuse(here, widens);
  const one = interleaved ? equalNeighbour : equalHalf;
  const [cos, sin] = [one(b, cosines), one(b, sines)];
  if (!cos || !sin) return refuse(here, unequal);
  const common = broadcastShapes(cos.type.shape, sin.type.shape);
  if (!common) return refuse(here, widens);
  const tables = [cos, sin].map((table) => rows(b, b.broadcast(table, { shape: common }), x)) as [Value, Value];
  return { values: [b.rope(x, ...tables, { interleaved })], covered };
}
