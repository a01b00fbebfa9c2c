import { type Arena, attrRecord, attrsOf, graphOf, opDef } from "../ir/arena.ts";
import { divideBySum } from "../ir/attend.ts";
import { evaluate, evaluateKnown, show, symbolsOf } from "../ir/dim.ts";
import type { Node, Value } from "../ir/graph.ts";
import { gatesOf } from "../ir/ops/linear-attention.ts";
import { factorsOf, obstacles } from "./linearise/factors.ts";
import { chunked, type Recurrence, ungrouped } from "./linearise/forms.ts";
import { causalProducts } from "./linearise/spelled.ts";
import type { Pass } from "./pass.ts";
import { isFoldable } from "./rewrite/foldable.ts";
import { type FuseContext, type Fusion, fuse, type Matcher } from "./rewrite/fuse.ts";
import type { Miss } from "./rewrite/match.ts";
import type { ChunkChoice } from "./target.ts";

const miss = (at: Value, reason: string): Miss => ({ depth: 1, reason, at });

const fewPairs = "at these lengths pairs of query and key are the cheaper";

/** Whether weighing every key for every query takes no more than a state does, as far as lengths are known. */
function hasFewPairs(q: Value, v: Value, dims: ReadonlyMap<string, number>): boolean {
  const sizes = [q.type.shape[2]!, q.type.shape[3]!, v.type.shape[2]!, v.type.shape[3]!];
  if (!sizes.flatMap(symbolsOf).every((name) => dims.has(name))) return false;
  const [queries, width, keys, valueWidth] = sizes.map((dim) => evaluate(dim, dims)) as [
    number,
    number,
    number,
    number,
  ];
  return queries * keys * (width + valueWidth) <= (queries + keys) * width * valueWidth;
}

/** Attention without a softmax over all keys is a product of three: `reassociate` orders it. */
const linearAttention: Matcher = {
  name: "linear-attention",
  formula: 'attention(q, k, v, normaliser = "none") = scale · contract(contract(q, k), v)',
  roots: ["attention"],
  refuses: [...Object.values(obstacles), fewPairs],
  match(root, cx) {
    const { normaliser, causal } = attrsOf(root, "attention");
    if (!isLinear(normaliser) || causal) return undefined;
    const b = cx.arena.build;
    const factors = factorsOf(root, b);
    if (typeof factors === "string") return miss(root.results[0]!, factors);
    const { q } = factors;
    const [k, v] = [factors.k, factors.v].map((x) => ungrouped(b, x, q.type.shape[1]!)) as [Value, Value];
    if (hasFewPairs(q, v, cx.dims)) return miss(root.results[0]!, fewPairs);
    const factor = weighing(attrsOf(root, "attention"));
    const scaled = (x: Value) => (factor === 1 ? x : b.mul(x, b.scalar(factor, x.type.dtype)));
    const pairs = b.contract(q, k, { spec: "b h q d, b h k d -> b h q k" });
    const sums = scaled(b.contract(pairs, v, { spec: "b h q k, b h k e -> b h q e" }));
    if (normaliser === "none") return replaced(root, sums);
    const weights = scaled(b.contract(q, b.reduceSum(k, { axes: [2] }), { spec: "b h q d, b h d -> b h q" }));
    const column = b.reshape(weights, { shape: [...q.type.shape.slice(0, 3), 1] });
    return replaced(root, divideBySum(b, sums, column));
  },
};

const isLinear = (normaliser: string): boolean => normaliser === "none" || normaliser === "sum";
/** What multiplies the weights: a factor of them all leaves their mean as it is, unless there is none then. */
const weighing = ({ normaliser, scale }: { readonly normaliser: string; readonly scale: number }): number =>
  normaliser === "sum" && scale !== 0 ? 1 : scale;
const replaced = (root: Node, value: Value): Fusion => ({ values: [value], covered: [root] });

/** Causal attention without a softmax: within chunks as it is, from chunk to chunk as a state. */
const chunkAttention: Matcher = {
  name: "chunk-attention",
  formula: 'attention(q, k, v, causal, normaliser = "none") = within chunks + what earlier chunks left in a state',
  roots: ["attention"],
  refuses: [...linearAttention.refuses, "queries and keys differ in length", "the length … is at most …"],
  match(root, cx) {
    const { normaliser, causal, scale } = attrsOf(root, "attention");
    if (!isLinear(normaliser) || !causal) return undefined;
    const at = root.results[0]!;
    const factors = factorsOf(root, cx.arena.build);
    if (typeof factors === "string") return miss(at, factors);
    if (factors.q.type.shape[2] !== factors.k.type.shape[2]) return miss(at, "queries and keys differ in length");
    const given = { ...factors, scale: weighing({ normaliser, scale }), normalised: normaliser === "sum" };
    return inChunks(root, cx, given, forWidths(cx.target.choices.chunks.attention, factors));
  },
};

/** Wide states pay later: pairs take length² · (d + e) products, chunks length · (size · (d + e) + 2 · d · e). */
function forWidths(choice: ChunkChoice, { q, v }: Pick<Recurrence, "q" | "v">): ChunkChoice {
  const [d, e] = [q.type.shape[3]!, v.type.shape[3]!];
  if (typeof d !== "number" || typeof e !== "number") return choice;
  return { ...choice, above: Math.max(choice.above, choice.size + Math.ceil((2 * d * e) / (d + e))) };
}

/** A recurrence over single positions becomes one over chunks. */
const chunkRecurrence: Matcher = {
  name: "chunk-recurrence",
  formula: "linearAttention(q, k, v, gates) = within chunks + what earlier chunks left in a state",
  roots: ["linearAttention"],
  refuses: ["each element of a key decays by itself, which the delta rule mixes", "the length … is at most …"],
  match(root, cx) {
    const { scale, ...given } = attrsOf(root, "linearAttention");
    const [q, k, v, ...gates] = root.operands as [Value, Value, Value, ...Value[]];
    const { decay, rate } = gatesOf(gates, given);
    if (rate && decay && decay.type.shape[3] !== 1)
      return miss(root.results[0]!, "each element of a key decays by itself, which the delta rule mixes");
    return inChunks(root, cx, { q, k, v, scale, decay, rate }, cx.target.choices.chunks.recurrence);
  },
};

/** The chunked form where it pays, decided at run time where the length is not known. */
function inChunks(root: Node, cx: FuseContext, given: Recurrence, choice: ChunkChoice): Fusion | Miss {
  const length = given.q.type.shape[2]!;
  const known = evaluateKnown(length, cx.dims);
  if (known !== undefined && known <= choice.above)
    return miss(root.results[0]!, `the length ${known} is at most ${choice.above}`);
  cx.report.note(
    `${show(length)} positions in chunks of ${choice.size}${known === undefined ? `, above ${choice.above}` : ""}`,
  );
  const { arena } = cx;
  return replaced(
    root,
    known === undefined ? dispatched(root, arena, given, choice) : chunked(arena.build, given, choice.size),
  );
}

/** Both forms behind `if`. The short one is spelled out, so that it is not found again. */
function dispatched(root: Node, arena: Arena, given: Recurrence, { above, size }: ChunkChoice): Value {
  const b = arena.build;
  const isLong = b.less(b.scalar(above, "i64"), b.size({ of: given.q.type.shape[2]! }));
  const captures: Value[] = [];
  const inputs: Value[] = [];
  const inner = (value: Value): Value => {
    if (isFoldable(value) && value.node.operands.length === 0) return value;
    const at = captures.indexOf(value);
    if (at >= 0) return inputs[at]!;
    inputs.push(b.input({ name: `captured.${captures.length}`, ...value.type }));
    captures.push(value);
    return inputs.at(-1)!;
  };
  const { q, k, v, decay, rate } = given;
  const gates = { decay: decay && inner(decay), rate: rate && inner(rate) };
  const long = chunked(b, { ...given, q: inner(q), k: inner(k), v: inner(v), ...gates }, size);
  const short = opDef(root.op).decompose!(b, root.operands.map(inner), attrRecord(root)) as Value;
  const branches = {
    whenTrue: graphOf("chunks", inputs, [["result", long]]),
    whenFalse: graphOf("steps", inputs, [["result", short]]),
  };
  return arena.node("if", [isLong, ...captures], branches).results[0]!;
}

export const lineariseMatchers: readonly Matcher[] = [causalProducts, linearAttention, chunkAttention, chunkRecurrence];

/** Needs a canonical graph. */
export const linearise: Pass = {
  name: "linearise",
  doc: "Attention without a softmax becomes products that can be reordered, or, where it is causal, chunks with a state between them: linear in the length.",
  run: (graph, cx) => fuse(graph, lineariseMatchers, cx),
};
