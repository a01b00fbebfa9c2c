import type { Build } from "../../ir/arena.ts";
import { type Dim, isStatic } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { broadcastShapes, sameShape } from "../../ir/types.ts";
import type { Fusion, Matcher } from "../rewrite/fuse.ts";
import type { Miss } from "../rewrite/match.ts";
import { scalarOf, tensorOf } from "../rewrite/scalar.ts";

/** A part of a tensor along its last axis: from `start` up to `end`. */
interface Part {
  readonly of: Value;
  readonly start: Dim;
  readonly end: Dim;
  readonly node: Node;
}

const isLast = (axis: number, value: Value): boolean => {
  const rank = value.type.shape.length;
  return (axis + rank) % rank === rank - 1;
};

/** The part of its operand a slice or a result of a split is. */
function partOf({ node, index }: Value): Part | undefined {
  const of = node.operands[0];
  if ((node.op !== "slice" && node.op !== "split") || !of || !isLast(node.attrs.get("axis") as number, of))
    return undefined;
  if (node.op === "slice")
    return { of, start: node.attrs.get("start") as Dim, end: node.attrs.get("end") as Dim, node };
  const sizes = node.attrs.get("sizes") as readonly Dim[];
  if (!sizes.every(isStatic)) return undefined;
  const start = sizes.slice(0, index).reduce((sum, size) => sum + size, 0);
  return { of, start, end: start + sizes[index]!, node };
}

/** `concat(-x₂, x₁)` of the halves of x: x turned by a quarter. */
function quarterTurn(value: Value): { readonly x: Value; readonly covered: readonly Node[] } | undefined {
  const { node } = value;
  const [first, second, ...more] = node.operands;
  if (node.op !== "concat" || !second || more.length > 0 || !isLast(node.attrs.get("axis") as number, value))
    return undefined;
  const high = first!.node.op === "neg" ? partOf(first!.node.operands[0]!) : undefined;
  const low = partOf(second);
  const width = value.type.shape.at(-1)!;
  if (!high || high.of !== low?.of || !isStatic(width) || high.of.type.shape.at(-1) !== width) return undefined;
  const halves = low.start === 0 && low.end === width / 2 && high.start === width / 2 && high.end === width;
  return halves ? { x: high.of, covered: [node, first!.node, high.node, low.node] } : undefined;
}

const onElements: ReadonlySet<string> = new Set(["cos", "sin", "cast", "neg"]);
const maxDepth = 16;

/** The first half of a table along its last axis, where the second is the same. */
function equalHalf(b: Build, value: Value, depth = 0): Value | undefined {
  const { node, type } = value;
  const [x, y] = node.operands;
  const width = type.shape.at(-1)!;
  if (depth > maxDepth || !isStatic(width) || width % 2 !== 0) return undefined;
  const below = (inner: Value) => equalHalf(b, inner, depth + 1);
  const keepsLast = (inner: Value) => inner.type.shape.at(-1) === width;
  const halved = [...type.shape.slice(0, -1), width / 2];
  if (node.op === "concat")
    return node.operands.length === 2 && x === y && isLast(node.attrs.get("axis") as number, value) ? x : undefined;
  if (node.op === "constant") return constantHalf(b, value, width);
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
function rows(b: Build, table: Value, x: Value): Value {
  const { shape } = table.type;
  const plain =
    shape.length > 2 && shape.slice(0, -2).every((dim) => dim === 1) && shape.at(-2) === x.type.shape.at(-2);
  return plain ? b.reshape(table, { shape: shape.slice(-2) }) : table;
}

const refuse = (at: Value, reason: string): Miss => ({ depth: 4, reason, at });
const unequal = "the halves of the cosines or sines are not known to be equal";
const widens = "the angles widen what they turn";

/** Rotary positions as exporters spell them: x · cos + (x turned by a quarter) · sin, tables over both halves. */
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
        const side = turn ? straight.operands.indexOf(turn.x) : -1;
        if (!turn || side < 0) continue;
        const covered = [root, straight, turned, ...turn.covered];
        const shared = cx.exclusive(covered);
        if (shared) return { depth: covered.length, ...shared };
        return turnedBy(cx.arena.build, root, turn.x, straight.operands[1 - side]!, turned.operands[1 - at]!, covered);
      }
    return undefined;
  },
};

function turnedBy(
  b: Build,
  root: Node,
  x: Value,
  cosines: Value,
  sines: Value,
  covered: readonly Node[],
): Fusion | Miss {
  const here = root.results[0]!;
  if (!sameShape(here.type.shape, x.type.shape)) return refuse(here, widens);
  const [cos, sin] = [equalHalf(b, cosines), equalHalf(b, sines)];
  if (!cos || !sin) return refuse(here, unequal);
  const common = broadcastShapes(cos.type.shape, sin.type.shape);
  if (!common) return refuse(here, widens);
  const tables = [cos, sin].map((table) => rows(b, b.broadcast(table, { shape: common }), x)) as [Value, Value];
  return { values: [b.rope(x, ...tables)], covered };
}
