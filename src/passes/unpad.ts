import { symbolsBound, symbolsNeeded } from "../ir/binding.ts";
import { everyNode, flopsOf, holdsGraphs } from "../ir/cost.ts";
import { type Dim, evaluate, mul, show, sum, symbol, symbolsOf } from "../ir/dim.ts";
import { type Graph, nodesOf, type Value } from "../ir/graph.ts";
import { bytesOf } from "../ir/types.ts";
import { assumedSize } from "./assumed-size.ts";
import type { Pass, PassContext } from "./pass.ts";
import { noteOf } from "./rewrite/report.ts";
import { knownAtPadding, type PaddingMask, paddingMaskOf, realTokens } from "./unpad/padding.ts";
import { isPaddingMask, type Region, refusals, regionOf, varyingAxes } from "./unpad/region.ts";
import { rewrite } from "./unpad/rewrite.ts";

const rule = "unpad";

/** What it takes to move a byte between the two forms, in operations of a product (bench/unpad.ts). */
const flopsPerByte = 10;
/** With this share of the products' time to move, nothing is lost that one would notice where nothing is padding. */
const freeShare = 0.03;
/** With more than this, real batches do not gain. */
const greatestShare = 0.5;

/** A symbol for the number of rows that no other dimension has. */
function freshSymbol(graph: Graph): Dim {
  const used = new Set(everyNode(graph).flatMap((node) => [...symbolsNeeded(node), ...symbolsBound(node)]));
  let name = "tokens";
  for (let i = 1; used.has(name); i++) name = `tokens_${i}`;
  return symbol(name);
}

/** Values that are needed in both forms: what has to be moved. */
function crossings(graph: Graph, { rows }: Region): ReadonlySet<Value> {
  const found = new Set(graph.outputs.map(({ value }) => value).filter((value) => rows.has(value)));
  for (const node of nodesOf(graph)) {
    const byRow = node.results.some((result) => rows.has(result));
    node.operands.forEach((value, i) => {
      if (byRow ? !rows.has(value) && varyingAxes(node, i).length > 0 : rows.has(value)) found.add(value);
    });
  }
  return found;
}

/** The time moving takes over the time of the products, at the sizes known or assumed. */
function shareOfMoving(graph: Graph, region: Region, { dims }: PassContext): number {
  const flops = sum(region.products.map(flopsOf));
  const bytes = mul(2, sum([...crossings(graph, region)].map(({ type }) => bytesOf(type))));
  const sizes = new Map([flops, bytes].flatMap(symbolsOf).map((name) => [name, dims.get(name) ?? assumedSize(name)]));
  return (flopsPerByte * evaluate(bytes, sizes)) / Math.max(1, evaluate(flops, sizes));
}

/** Both graphs behind `if`: real tokens only where less than 7 of 8 positions are real. */
function dispatched(graph: Graph, unpadded: Graph, mask: PaddingMask, cx: PassContext): Graph {
  const b = cx.arena.build;
  const count = b.reduceSum(b.cast(realTokens(mask, cx.arena), { to: "i64" }), { axes: [0, 1] });
  const limit = b.mul(b.size({ of: mul(mask.batch, mask.length) }), b.scalar(7, "i64"));
  const condition = b.less(b.mul(count, b.scalar(8, "i64")), limit);
  const branches = { whenTrue: { ...unpadded, name: "unpadded" }, whenFalse: { ...graph, name: "padded" } };
  const { results } = cx.arena.node("if", [condition, ...graph.inputs], branches);
  return { ...graph, outputs: graph.outputs.map(({ name }, i) => ({ name, value: results[i]! })) };
}

function unpadBy(graph: Graph, mask: PaddingMask, cx: PassContext): Graph {
  const known = knownAtPadding(graph, mask.source);
  const region = regionOf(graph, mask, known);
  // The option `unpad` leaves outputs that are known.
  const isDeclared = graph.outputs.some(({ value }) => known.has(value));
  if (!region) {
    if (isDeclared && nodesOf(graph).some(holdsGraphs))
      cx.report.refused(rule, refusals.outside, noteOf(cx, mask.source.node));
    return graph;
  }
  if ("reason" in region) {
    const detail = `blocked by ${noteOf(cx, region.at.node).value}`;
    if (isDeclared || isPaddingMask(graph, known))
      cx.report.refused(rule, region.reason, { ...noteOf(cx, mask.source.node), detail });
    return graph;
  }
  const share = shareOfMoving(graph, region, cx);
  if (share > greatestShare) {
    cx.report.refused(rule, refusals.little, noteOf(cx, mask.source.node));
    return graph;
  }
  cx.report.fired(rule);
  const tokens = freshSymbol(graph);
  const { value } = noteOf(cx, mask.source.node);
  cx.report.note(
    `${region.products.length} projections on real tokens only, by ${value}: ${show(tokens)} rows of ${show(mul(mask.batch, mask.length))}`,
  );
  const unpadded = rewrite(graph, region, tokens, cx.arena);
  return share > freeShare ? dispatched(graph, unpadded, mask, cx) : unpadded;
}

function run(graph: Graph, cx: PassContext): Graph {
  if (cx.options.without.has(rule)) return graph;
  for (const source of graph.inputs) {
    const mask = paddingMaskOf(source);
    const unpadded = mask ? unpadBy(graph, mask, cx) : graph;
    if (unpadded !== graph) return unpadded;
  }
  return graph;
}

/** Needs attention fused, and heads packed where the target takes them so. */
export const unpad: Pass = {
  name: "unpad",
  doc: "Where a padding mask tells which tokens are real, projections, norms and activations are computed for those only, and attention on all positions as before; outputs stay as they were, at padding too.",
  run,
};
