import { type Arena, attrsOf, type Build } from "../../ir/arena.ts";
import { followAxis } from "../../ir/axis-flow.ts";
import { type Dim, isStatic } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { fromNumbers, toFloat64 } from "../../ir/tensor.ts";
import { axisFromFirst, sameShape } from "../../ir/types.ts";
import type { FuseContext, Matcher } from "../rewrite/fuse.ts";
import { tensorOf } from "../rewrite/scalar.ts";
import { reshaped } from "./axes.ts";
import { isMiss } from "./match.ts";
import { nodesOfStep, scorePath } from "./scores.ts";

/** Some places of one axis of a softmax, in order. */
interface Part {
  readonly value: Value;
  readonly axis: number;
  readonly places: readonly number[];
}

/** What a node takes of one axis of its operand, for each of its results. */
interface Taken {
  readonly axis: number;
  readonly places: readonly (readonly number[])[];
}

const range = (start: number, end: number): readonly number[] =>
  Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i);

function takenBy(node: Node): Taken | undefined {
  const { shape } = node.operands[0]!.type;
  const along = (at: number, places: Taken["places"]) => ({ axis: axisFromFirst(at, shape.length), places });
  if (node.op === "slice") {
    const { axis, start, end } = attrsOf(node, "slice");
    return isStatic(start) && isStatic(end) ? along(axis, [range(start, end)]) : undefined;
  }
  if (node.op === "split") {
    const { axis, sizes } = attrsOf(node, "split");
    if (!sizes.every(isStatic)) return undefined;
    const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0));
    return along(
      axis,
      starts.map((start, i) => range(start, start + sizes[i]!)),
    );
  }
  if (node.op !== "gather") return undefined;
  const { axis, batch } = attrsOf(node, "gather");
  const indices = tensorOf(node.operands[1]!);
  const taken = along(axis, indices && batch === 0 ? [[...toFloat64(indices)]] : []);
  const size = shape[taken.axis]!;
  return taken.places[0]?.every((place) => place >= 0 && isStatic(size) && place < size) ? taken : undefined;
}

/** The axis that a reshape cuts, and into which sizes; undefined where it does anything else. */
function cutBy(from: readonly Dim[], to: readonly Dim[]) {
  const axis = from.findIndex((dim, i) => dim !== to[i]);
  const end = to.length - (from.length - axis - 1);
  const sizes = to.slice(axis, end);
  const isCut = axis >= 0 && isStatic(from[axis]!) && sameShape(from.slice(axis + 1), to.slice(end));
  return isCut && sizes.every(isStatic) ? { axis, sizes } : undefined;
}

/** The places along an axis that is cut into `sizes`, where some of one of them are taken. */
function placesAcross(sizes: readonly number[], at: number, taken: readonly number[]): readonly number[] {
  return sizes.reduce<readonly number[]>(
    (places, size, i) =>
      places.flatMap((place) => (i === at ? taken : range(0, size)).map((own) => place * size + own)),
    [0],
  );
}

/** The parts that a node takes of a softmax, an axis of which a reshape may have cut before. */
function partsOf(node: Node, weights: Value): readonly Part[] | undefined {
  const taken = takenBy(node);
  const [of] = node.operands;
  if (!taken || of === weights)
    return taken && node.results.map((value, i) => ({ value, axis: taken.axis, places: taken.places[i]! }));
  const cut = cutBy(weights.type.shape, of!.type.shape);
  const at = cut ? taken.axis - cut.axis : -1;
  if (!cut || at < 0 || at >= cut.sizes.length) return undefined;
  const places = taken.places.map((some) => placesAcross(cut.sizes, at, some));
  return node.results.map((value, i) => ({ value, axis: cut.axis, places: places[i]! }));
}

/** All that is made of a softmax, where that is parts of one axis that do not overlap. */
function allParts(weights: Value, { uses }: FuseContext): readonly Part[] | undefined {
  const usersOf = (value: Value) => (uses.users.get(value) ?? []).map(({ node }) => node);
  const direct = usersOf(weights);
  const moved = direct.flatMap((node) => (node.op === "reshape" ? node.results : []));
  if ([weights, ...moved].some((value) => uses.outputs.has(value))) return undefined;
  const users = [...direct.filter(({ op }) => op !== "reshape"), ...moved.flatMap(usersOf)];
  const parts = [...new Set(users)].map((node) => partsOf(node, weights));
  if (!parts.every((some) => some !== undefined)) return undefined;
  const all = parts.flat();
  const places = all.flatMap((part) => part.places);
  const isApart = new Set(places).size === places.length && all.every(({ axis }) => axis === all[0]!.axis);
  return isApart && all.every((part) => part.places.length > 0) ? all : undefined;
}

/** The places of an axis, where a tensor has it. */
function placesOf(b: Build, x: Value, axis: number, places: readonly number[]): Value {
  if (axis < 0 || x.type.shape[axis] === 1) return x;
  const [start, count] = [places[0]!, places.length];
  if (places.every((place, i) => place === start + i)) return b.slice(x, { axis, start, end: start + count });
  return b.gather(x, b.constant({ value: fromNumbers("i64", [count], Float64Array.from(places)) }), { axis });
}

/** `node` for some places of an axis of its result: those of its operands, and so on through all of `path`. */
function sliced(arena: Arena, node: Node, axis: number, places: readonly number[], path: ReadonlySet<Node>): Value {
  const operands = node.operands.map((operand, i) => {
    const own = operand.type.shape.findIndex((_, at) => followAxis(node, i, at) === axis);
    return path.has(operand.node) && own >= 0
      ? sliced(arena, operand.node, own, places, path)
      : placesOf(arena.build, operand, own, places);
  });
  return arena.rebuild(node, operands).results[0]!;
}

/** Heads whose weights go different ways, as where those of differential attention (arXiv:2410.05258) come of one softmax. */
export const slicedWeights: Matcher = {
  name: "sliced-weights",
  formula: "slices of softmax(x) = softmax of slices of x, where x are scores and slices those of other axes",
  roots: ["gather", "slice", "split"],
  refuses: [],
  match(root, cx) {
    const b = cx.arena.build;
    const [of] = root.operands;
    const weights = of!.node.op === "reshape" ? of!.node.operands[0]! : of!;
    const { node } = weights;
    if (node.op !== "softmax") return undefined;
    const parts = allParts(weights, cx);
    const rank = weights.type.shape.length;
    const [first] = parts ?? [];
    if (!parts || first!.axis === axisFromFirst(attrsOf(node, "softmax").axis, rank)) return undefined;
    const path = scorePath(node.operands[0]!);
    if (isMiss(path) || path.steps.some((step) => step.node.op === "reshape")) return undefined;
    const within = new Set([...path.steps.flatMap(nodesOfStep), path.product]);
    const shared = cx.exclusive([node, ...within]);
    if (shared) return { depth: within.size, ...shared };
    const made = parts.map(({ value, axis, places }) => {
      const part = sliced(cx.arena, node, axis, places, within);
      return [value, reshaped(b, part, value.type.shape)] as const;
    });
    const own = new Map(made);
    return {
      values: root.results.map((value) => own.get(value) ?? value),
      also: made.filter(([value]) => value.node !== root),
      covered: [root, ...parts.map(({ value }) => value.node), of!.node, node],
    };
  },
};
