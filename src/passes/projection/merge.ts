import type { Build } from "../../ir/arena.ts";
import { type Dim, evaluate, isStatic, symbolsOf } from "../../ir/dim.ts";
import { type Graph, type Node, nodesOf, type Uses, usesOf, type Value } from "../../ir/graph.ts";
import { volume } from "../../ir/types.ts";
import { assumedSize } from "../assumed-size.ts";
import type { PassContext } from "../pass.ts";
import { isFoldable } from "../rewrite/foldable.ts";
import { noteOf } from "../rewrite/report.ts";
import { substitute } from "../rewrite/substitute.ts";
import { type Linear, linearOf } from "./linear.ts";

const usedElsewhere = "the weight is also used elsewhere";

/** A search rather than a match, described as rules are. */
export const merging = {
  name: "merge-projections",
  formula: "x·W₁ + b₁, x·W₂ + b₂, … = pieces of x·[W₁ W₂ …] + [b₁ b₂ …]",
  refuses: ["no gain at this size", usedElsewhere],
} as const;

/** A projection that may be merged with others of its input: its weight has one axis the input has not. */
interface Member {
  readonly linear: Linear;
  readonly out: string;
  /** What users see: the product, or the sum with its bias. */
  readonly value: Value;
  readonly bias: Value | undefined;
}

function memberOf(node: Node, uses: Uses): Member | undefined {
  const linear = linearOf(node);
  const outs = linear?.weightLabels.filter((label) => !linear.xLabels.includes(label)) ?? [];
  const [out] = outs;
  if (!linear || out === undefined || outs.length > 1 || !isStatic(sizeAlong(linear, out))) return undefined;
  // Labels that weight, input and result share would be batches of products: those do not lie side by side.
  if (linear.weightLabels.some((label) => label !== out && linear.result.includes(label))) return undefined;
  const value = node.results[0]!;
  const users = uses.users.get(value) ?? [];
  const sum = users.length === 1 && !uses.outputs.has(value) ? users[0]!.node : undefined;
  const bias = sum?.op === "add" ? sum.operands[1 - users[0]!.index] : undefined;
  const last = linear.result.at(-1) === out;
  if (
    sum &&
    bias &&
    last &&
    isFoldable(bias) &&
    bias.type.shape.length === 1 &&
    bias.type.shape[0] === sizeAlong(linear, out)
  )
    return { linear, out, value: sum.results[0]!, bias };
  return { linear, out, value, bias: undefined };
}

const sizeAlong = ({ weight, weightLabels }: Linear, label: string): Dim =>
  weight.type.shape[weightLabels.indexOf(label)]!;

/** Equal where two projections do the same to the same input, up to the size of what comes out. */
function signature({ linear, out }: Member): string {
  const name = (label: string) => (label === out ? "out" : String(linear.xLabels.indexOf(label)));
  const summed = linear.xLabels.map((label) => (linear.weightLabels.includes(label) ? "s" : "k")).join("");
  const place = `${linear.x.node.id}.${linear.x.index}`;
  return [place, summed, linear.result.map(name).join(" ")].join("|");
}

/** The weight as [what is summed …, out], in the order the input has its axes. */
function weightMatrix(b: Build, { linear, out }: Member): Value {
  const order = [...linear.xLabels.filter((label) => linear.weightLabels.includes(label)), out];
  const perm = order.map((label) => linear.weightLabels.indexOf(label));
  return perm.every((axis, i) => axis === i) ? linear.weight : b.transpose(linear.weight, { perm });
}

function merge(b: Build, members: readonly Member[]): readonly Value[] {
  const [first] = members as readonly [Member, ...Member[]];
  const { linear, out } = first;
  const summed = linear.xLabels.filter((label) => linear.weightLabels.includes(label));
  const weight = b.concat(...members.map((member) => weightMatrix(b, member)), { axis: -1 });
  const spec = `${linear.xLabels.join(" ")}, ${[...summed, out].join(" ")} -> ${linear.result.join(" ")}`;
  const product = b.contract(linear.x, weight, { spec });
  const sizes = members.map((member) => sizeAlong(member.linear, member.out));
  const cut = (value: Value) => splitResults(b, value, linear.result.indexOf(out), sizes);
  const biases = members.flatMap(({ bias }) => (bias ? [bias] : []));
  if (biases.length === members.length) return cut(b.add(product, b.concat(...biases, { axis: 0 })));
  // Where some have none, the others get theirs after the cut: fewer sums than zeros for all would make.
  return cut(product).map((part, i) => (members[i]!.bias ? b.add(part, members[i]!.bias) : part));
}

const splitResults = (b: Build, value: Value, axis: number, sizes: readonly Dim[]): readonly Value[] =>
  b.split(value, { axis, sizes }).node.results;

/** Elements of the shared input: what decides whether the calls saved outweigh the copies of cutting apart. */
function inputSize({ linear }: Member, dims: PassContext["dims"]): number {
  const symbols = linear.x.type.shape.flatMap(symbolsOf);
  return evaluate(volume(linear.x.type), new Map(symbols.map((name) => [name, dims.get(name) ?? assumedSize(name)])));
}

function refusalOf(members: readonly Member[], uses: Uses, cx: PassContext): string | undefined {
  if (members.some(({ linear }) => (uses.users.get(linear.weight)?.length ?? 0) > 1)) return usedElsewhere;
  const limit = cx.target.choices.mergeProjectionsUpTo;
  const size = inputSize(members[0]!, cx.dims);
  return size > limit
    ? `no gain at this size: ${size} elements go in, ${cx.target.name} gains up to ${limit}`
    : undefined;
}

/** Projections of one input, weights side by side, as one product that is cut apart again. */
export function mergeProjections(graph: Graph, cx: PassContext): Graph {
  if (cx.options.without.has(merging.name)) return graph;
  const uses = usesOf(graph);
  const groups = new Map<string, Member[]>();
  for (const node of nodesOf(graph)) {
    const member = memberOf(node, uses);
    if (!member) continue;
    const key = signature(member);
    const group = groups.get(key);
    if (group) group.push(member);
    else groups.set(key, [member]);
  }
  const replaced = new Map<Value, Value>();
  for (const members of groups.values()) {
    if (members.length < 2) continue;
    const refusal = refusalOf(members, uses, cx);
    if (refusal !== undefined) {
      cx.report.refused(merging.name, refusal, noteOf(cx, members[0]!.linear.node));
      continue;
    }
    if (!cx.options.allows(merging.name, members[0]!.linear.node)) continue;
    const parts = merge(cx.arena.build, members);
    members.forEach(({ value }, i) => void replaced.set(value, parts[i]!));
    cx.report.fired(merging.name);
  }
  return substitute(graph, replaced, cx.arena);
}
