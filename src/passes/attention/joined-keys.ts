import { type Arena, attrsOf, type Build, opDef } from "../../ir/arena.ts";
import { followAxis } from "../../ir/axis-flow.ts";
import { specOf } from "../../ir/contraction.ts";
import { add, type Dim } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { axisFromFirst, sameShape } from "../../ir/types.ts";
import type { Matcher } from "../rewrite/fuse.ts";
import type { Miss } from "../rewrite/match.ts";
import { scalarOf } from "../rewrite/scalar.ts";
import { arrange } from "./axes.ts";
import { problemOf } from "./combined-weights.ts";
import { probabilities } from "./match.ts";

/** A product for some of the keys, of what those for the others multiply too and `own`. */
interface Part {
  readonly node: Node;
  readonly own: Value;
  /** Axes of `own` by what they are in the other operand, or else in the result. */
  readonly labels: readonly string[];
  readonly result: readonly string[];
}

const inShared = (axis: number): string => `shared.${axis}`;
const inResult = (axis: number): string => `result.${axis}`;

/** A product of two as a part, the operand at `at` being what all parts multiply. */
function partOf(node: Node, at: number): Part | undefined {
  if (node.op !== "contract" || node.operands.length !== 2 || at < 0) return undefined;
  const { operands, result } = specOf(node);
  if (operands.some((labels) => new Set(labels).size < labels.length)) return undefined;
  const names = new Map(operands[at]!.map((label, axis) => [label, inShared(axis)]));
  for (const [axis, label] of result.entries()) if (!names.has(label)) names.set(label, inResult(axis));
  const named = (labels: readonly string[]) => labels.flatMap((label) => names.get(label) ?? []);
  const labels = named(operands[1 - at]!);
  const isWhole = labels.length === operands[1 - at]!.length;
  return isWhole ? { node, own: node.operands[1 - at]!, labels, result: named(result) } : undefined;
}

/** What is each part's own, in one along the axis `key`, and the part of most axes; those that lack any are repeated. */
function joined(b: Build, parts: readonly Part[], key: string): readonly [Value, Node] | undefined {
  const widest = parts.reduce((most, part) => (part.labels.length > most.labels.length ? part : most));
  const { labels, own, node } = widest;
  const sizes = new Map<string, Dim>(labels.map((label, axis) => [label, own.type.shape[axis]!]));
  const fits = (part: Part): boolean =>
    part.labels.includes(key) &&
    part.labels.every((label, axis) => label === key || sizes.get(label) === part.own.type.shape[axis]) &&
    part.result.every((label, axis) => label === widest.result[axis]);
  if (!parts.every(fits)) return undefined;
  const wanted = labels.map((label) => [label]);
  const all = parts.map((part) => {
    const lacks = labels.filter((label) => !part.labels.includes(label));
    const size = part.own.type.shape[part.labels.indexOf(key)]!;
    return arrange(b, part.own, part.labels, wanted, new Map([...sizes, [key, size]]), lacks);
  });
  return [b.concat(...all, { axis: labels.indexOf(key) }), node];
}

/** A product like `node` of other operands, `at` being the place of the first of them. */
function productOf(b: Build, node: Node, at: number, shared: Value, own: Value): Value {
  return b.contract(...(at === 0 ? [shared, own] : [own, shared]), { spec: node.attrs.get("spec") as string });
}

/** A value that is made again, and the nodes that vanish. */
interface Made {
  readonly value: Value;
  readonly nodes: readonly Node[];
}

/** How far below a softmax products are looked for: what is shared would be looked at again and again. */
const maxDepth = 12;

/** Products of the same queries, to be put together along the axis of their keys, as one; each perhaps with the same done to it. */
function joinedProducts(arena: Arena, products: readonly Value[], axis: number, depth = maxDepth): Made | undefined {
  const nodes = products.map(({ node }) => node);
  const [first] = nodes;
  if (first!.op !== "contract") {
    if (depth === 0 || !nodes.every((node) => isLike(node, first!))) return undefined;
    const below = nodes.map(({ operands }) => operands[0]!);
    const inner = joinedProducts(arena, below, axis, depth - 1);
    if (!inner) return undefined;
    const value = arena.rebuild(first!, first!.operands.with(0, inner.value)).results[0]!;
    return { value, nodes: [...nodes, ...inner.nodes] };
  }
  for (const shared of first!.operands) {
    const parts = nodes.map((node) => partOf(node, node.operands.indexOf(shared)));
    const made = parts.every((part) => part !== undefined) ? joined(arena.build, parts, inResult(axis)) : undefined;
    if (!made) continue;
    const [own, like] = made;
    return { value: productOf(arena.build, like, like.operands.indexOf(shared), shared, own), nodes };
  }
  return undefined;
}

/** Whether a node does to the elements of its first operand what another does, as where scores are scaled. */
function isLike(node: Node, other: Node): boolean {
  const [first, ...more] = node.operands;
  const isSame = node.op === other.op && node.attrs.size === 0 && node.operands.length === other.operands.length;
  const isOfAll = more.every((operand, i) => operand === other.operands[i + 1] && scalarOf(operand) !== undefined);
  const isElementwise = opDef(node.op).traits.includes("elementwise");
  return isSame && isOfAll && isElementwise && sameShape(first!.type.shape, node.results[0]!.type.shape);
}

/** Scores with the products for some of the keys, wherever below they are put together along `axis`, as one. */
function joinedScores(arena: Arena, scores: Value, axis: number, depth = maxDepth): Made | undefined {
  const { node, type } = scores;
  if (node.op === "concat") {
    const along = axisFromFirst(attrsOf(node, "concat").axis, type.shape.length);
    const made = along === axis ? joinedProducts(arena, node.operands, axis) : undefined;
    return made && { value: made.value, nodes: [node, ...made.nodes] };
  }
  if (depth === 0 || node.op === "contract") return undefined;
  for (const [i, operand] of node.operands.entries()) {
    const own = operand.type.shape.findIndex((dim, at) => dim === type.shape[axis] && followAxis(node, i, at) === axis);
    const inner = own < 0 ? undefined : joinedScores(arena, operand, own, depth - 1);
    if (!inner) continue;
    const value = arena.rebuild(node, node.operands.with(i, inner.value)).results[node.results.indexOf(scores)]!;
    return { value, nodes: [node, ...inner.nodes] };
  }
  return undefined;
}

/** A product of probabilities whose scores are put together, as one of those whose keys are. */
function withJoinedKeys(root: Node, at: number, arena: Arena): Made | undefined {
  const weights = root.operands[at]!;
  const found = probabilities(weights, arena.build);
  if (!found || found.guard.length > 0 || found.clearing || found.sink) return undefined;
  const { softmax, moves } = found;
  const [scores] = softmax.operands;
  const axis = axisFromFirst(attrsOf(softmax, "softmax").axis, scores!.type.shape.length);
  const made = joinedScores(arena, scores!, axis);
  if (!made) return undefined;
  const above = [softmax, ...moves.toReversed()];
  const value = above.reduce((below, node) => arena.rebuild(node, [below]).results[0]!, made.value);
  return {
    value: productOf(arena.build, root, at, value, root.operands[1 - at]!),
    nodes: [root, ...moves, softmax, ...made.nodes],
  };
}

/** Keys that come from two places, as global and local ones of PEGASUS-X (arXiv:2208.04347) do, or a prefix beside the tokens. */
export const joinedKeys: Matcher = {
  name: "joined-keys",
  formula:
    "concat(contract(q, k), contract(q, l)) = contract(q, concat(k, l)) where they are the scores of an attention",
  roots: ["contract"],
  refuses: [],
  match(root, cx) {
    const at = root.operands.findIndex((operand) => probabilities(operand, cx.arena.build));
    const made = at < 0 || root.operands.length !== 2 ? undefined : withJoinedKeys(root, at, cx.arena);
    if (!made) return undefined;
    const { value, nodes } = made;
    const problem: Miss | undefined = problemOf(value.node, at, cx.arena);
    if (problem) return problem;
    const shared = cx.exclusive(nodes);
    return shared ? { depth: nodes.length, ...shared } : { values: [value], covered: nodes };
  },
};

/** What is taken of one axis of a value. */
interface Piece {
  readonly of: Value;
  readonly axis: number;
  readonly start: Dim;
  readonly end: Dim;
}

function pieceOf(value: Value): Piece | undefined {
  const { node } = value;
  const [of] = node.operands;
  if (node.op === "slice") {
    const { axis, start, end } = attrsOf(node, "slice");
    return { of: of!, axis: axisFromFirst(axis, of!.type.shape.length), start, end };
  }
  if (node.op !== "split") return undefined;
  const { axis, sizes } = attrsOf(node, "split");
  const at = node.results.indexOf(value);
  const start = sizes.slice(0, at).reduce<Dim>((sum, size) => add(sum, size), 0);
  return { of: of!, axis: axisFromFirst(axis, of!.type.shape.length), start, end: add(start, sizes[at]!) };
}

/** A product of a piece of weights. */
interface Term {
  readonly part: Part;
  readonly at: number;
  readonly piece: Piece;
}

function termOf(node: Node, b: Build): Term | undefined {
  const at = node.operands.findIndex((operand) => {
    const of = pieceOf(operand)?.of;
    return of && probabilities(of, b);
  });
  const part = partOf(node, at);
  return part && { part, at, piece: pieceOf(node.operands[at]!)! };
}

const maxTerms = 16;

/** A sum of products of pieces of weights, with what adds them; undefined where it is anything else. */
function termsOf(
  root: Node,
  b: Build,
): { readonly terms: readonly Term[]; readonly adds: readonly Node[] } | undefined {
  const [terms, adds]: [Term[], Node[]] = [[], []];
  const open = new Set([root]);
  for (const node of open) {
    const term = node.op === "add" ? undefined : termOf(node, b);
    if (term) {
      terms.push(term);
      continue;
    }
    if (node.op !== "add" || adds.push(node) > maxTerms) return undefined;
    for (const operand of node.operands) {
      // What is there twice counts twice.
      if (open.has(operand.node) || !sameShape(operand.type.shape, root.results[0]!.type.shape)) return undefined;
      open.add(operand.node);
    }
  }
  return { terms, adds };
}

/** Terms in the order of their pieces, where those are all of one axis of the same weights, each place once. */
function inOrder(terms: readonly Term[]): readonly Term[] | undefined {
  const [first] = terms;
  const { of, axis } = first!.piece;
  if (terms.some(({ piece }) => piece.of !== of || piece.axis !== axis)) return undefined;
  const ordered: Term[] = [];
  let end: Dim = 0;
  while (ordered.length < terms.length) {
    const next = terms.find((term) => term.piece.start === end && !ordered.includes(term));
    if (!next) return undefined;
    ordered.push(next);
    end = next.piece.end;
  }
  return end === of.type.shape[axis] ? ordered : undefined;
}

/** Values that come from two places, beside keys that do. */
export const joinedValues: Matcher = {
  name: "joined-values",
  formula:
    "contract(p[:n], v) + contract(p[n:], w) = contract(p, concat(v, w)) where p are the weights of an attention, sliced along its keys",
  roots: ["add"],
  refuses: [],
  match(root, cx) {
    const b = cx.arena.build;
    const found = termsOf(root, b);
    const terms = found && inOrder(found.terms);
    if (!found || !terms) return undefined;
    const { of, axis } = terms[0]!.piece;
    const parts = terms.map(({ part }) => part);
    const made = joined(b, parts, inShared(axis));
    if (!made) return undefined;
    const [values, like] = made;
    const { at } = terms.find(({ part }) => part.node === like)!;
    const product = productOf(b, like, at, of, values);
    const whole = withJoinedKeys(product.node, at, cx.arena)?.value ?? product;
    const problem = problemOf(whole.node, at, cx.arena);
    if (problem) return problem;
    const pieces = terms.map((term) => term.part.node.operands[term.at]!.node);
    const covered = [...found.adds, ...parts.map(({ node }) => node), ...pieces, of.node];
    const shared = cx.exclusive(covered);
    return shared ? { depth: covered.length, ...shared } : { values: [product], covered: covered.slice(0, -1) };
  },
};
