import type { Build } from "../../ir/arena.ts";
import { isStatic } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { broadcastShapes, sameShape } from "../../ir/types.ts";
import type { Matcher } from "../rewrite/fuse.ts";
import { isLast, type Part, partOf, rows } from "./position.ts";

/** A value that may have been given, or lost, a last axis of size 1; what else it is made of belongs to it. */
interface Bare {
  readonly value: Value;
  readonly nodes: readonly Node[];
}

const gainsAxis = (from: Value, to: Value) => sameShape([...from.type.shape, 1], to.type.shape);

/** Before it was given its axis of size 1, where it was. */
function withoutAxis(value: Value): Bare {
  const [inner] = value.node.operands;
  return value.node.op === "reshape" && gainsAxis(inner!, value)
    ? { value: inner!, nodes: [value.node] }
    : { value, nodes: [] };
}

/** The part a value is, whether or not it lost its axis of size 1. */
function elementsOf(value: Value): Part | undefined {
  const [inner] = value.node.operands;
  const squeezed = value.node.op === "reshape" && gainsAxis(value, inner!);
  const part = partOf(squeezed ? inner! : value);
  return part && (squeezed ? { ...part, nodes: [value.node, ...part.nodes] } : part);
}

/** What is turned, x₁ and x₂, by which cosines and sines. */
interface Rotation {
  readonly x: readonly [Value, Value];
  readonly cos: Value;
  readonly sin: Value;
}

const orders = [
  [0, 1],
  [1, 0],
] as const;

const isProduct = ({ node }: Value, x: Value, y: Value): boolean =>
  node.op === "mul" && node.operands.includes(x) && node.operands.includes(y) && (x !== y || node.operands[0] === x);

/** All that `x₁ · c - x₂ · s` and `x₁ · s + x₂ · c` can be read as: a product does not say which side is turned. */
function rotationsOf(first: Node, second: Node): readonly Rotation[] {
  const [straight, crossed] = first.operands as [Value, Value];
  const sums = second.operands as [Value, Value];
  if (straight.node.op !== "mul" || crossed.node.op !== "mul") return [];
  return orders.flatMap(([i, j]) =>
    orders.flatMap(([k, l]) => {
      const { [i]: x, [j]: cos } = straight.node.operands as [Value, Value];
      const { [k]: y, [l]: sin } = crossed.node.operands as [Value, Value];
      const isSecond = orders.some(([m, n]) => isProduct(sums[m], x, sin) && isProduct(sums[n], y, cos));
      return isSecond ? [{ x: [x, y] as const, cos, sin }] : [];
    }),
  );
}

/**
 * Rotary positions pair by pair, as complex numbers multiply: the halves of a tensor, or neighbours, where its last axis
 * is of pairs.
 */
export const rotatedPairsMatcher: Matcher = {
  name: "rope-pairs",
  formula: "concat(x₁ · c - x₂ · s, x₁ · s + x₂ · c) = rope(x, c, s), x₁ and x₂ the halves or neighbours of x",
  roots: ["concat"],
  refuses: [],
  match(root, cx) {
    const here = root.results[0]!;
    if (root.operands.length !== 2 || !isLast(root.attrs.get("axis") as number, here)) return undefined;
    const [first, second] = (root.operands as [Value, Value]).map(withoutAxis) as [Bare, Bare];
    if (first.value.node.op !== "sub" || second.value.node.op !== "add") return undefined;
    const [minus, plus] = [first.value.node, second.value.node];
    for (const rotation of rotationsOf(minus, plus)) {
      const [low, high] = rotation.x.map(elementsOf) as [Part | undefined, Part | undefined];
      if (!low || !high || low.of !== high.of || low.end !== high.start) continue;
      if (low.end - low.start !== high.end - high.start || !sameShape(rotation.x[0].type.shape, first.value.type.shape))
        continue;
      const turned = rotated(cx.arena.build, here, { ...low, end: high.end }, rotation);
      if (!turned) continue;
      const products = [...minus.operands, ...plus.operands].map(({ node }) => node);
      const cuts = [...low.nodes, ...high.nodes];
      const covered = [...new Set([root, ...first.nodes, ...second.nodes, minus, plus, ...products])];
      const shared = cx.exclusive(covered);
      if (shared) return { depth: covered.length, ...shared };
      return { values: [turned], covered: cx.exclusive([...covered, ...cuts]) ? covered : [...covered, ...cuts] };
    }
    return undefined;
  },
};

function rotated(b: Build, root: Value, { of, start, end }: Part, { x, cos, sin }: Rotation): Value | undefined {
  const { shape } = root.type;
  const width = shape.at(-1)!;
  const pairs = shape.at(-2);
  const isNeighbours = width === 2 && end - start === 2 && pairs !== undefined && isStatic(pairs);
  const common = broadcastShapes(cos.type.shape, sin.type.shape);
  if (!common || common.length === 0 || width !== end - start) return undefined;
  const tables = [cos, sin].map((table) => b.broadcast(table, { shape: common })) as [Value, Value];
  const whole = of.type.shape.at(-1) === width ? of : b.slice(of, { axis: of.type.shape.length - 1, start, end });
  if (!sameShape(whole.type.shape, shape)) return undefined;
  if (!isNeighbours) return turn(b, whole, tables, false);
  // The tables then end in the axis of size 1 too.
  const keepsAxis = x[0].type.shape.length === shape.length;
  const flat = b.reshape(whole, { shape: [...shape.slice(0, -2), 2 * pairs] });
  const bare = keepsAxis ? tables.map((table) => b.reshape(table, { shape: common.slice(0, -1) })) : tables;
  const out = turn(b, flat, bare as [Value, Value], true);
  return out && b.reshape(out, { shape });
}

function turn(b: Build, x: Value, tables: readonly [Value, Value], interleaved: boolean): Value | undefined {
  const half = (x.type.shape.at(-1) as number) / 2;
  if (tables[0].type.shape.at(-1) !== half) return undefined;
  const [cos, sin] = tables.map((table) => rows(b, table, x)) as [Value, Value];
  return b.rope(x, cos, sin, { interleaved });
}
