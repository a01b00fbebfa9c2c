import { opDef } from "../ir/arena.ts";
import { flopsOf, subgraphsOf } from "../ir/cost.ts";
import { evaluate as evaluateDim } from "../ir/dim.ts";
import { isInteger } from "../ir/dtype.ts";
import { evaluateValues } from "../ir/evaluate.ts";
import { type Graph, type Node, nodesOf, topological, type Value } from "../ir/graph.ts";
import type { RefTensor } from "../ir/op-def.ts";
import { elementCount, fromNumbers, type HostTensor, tensorBytes, toFloat64 } from "../ir/tensor.ts";
import { bytesOf } from "../ir/types.ts";
import { foldedName } from "./folded-name.ts";
import type { Pass, PassContext } from "./pass.ts";
import { isFoldable } from "./rewrite/foldable.ts";
import { noteOf } from "./rewrite/report.ts";
import { aheadOfSteps } from "./rewrite/steps.ts";
import { substitute, withBranches } from "./rewrite/substitute.ts";

/** Operations and elements the reference evaluator is trusted with where a runtime is at hand, and where none is. */
const quickWork = 2 ** 22;
const patientWork = 2 ** 29;

/** Bytes beyond what a value is computed from that one value on the way may take, and all of them together. */
const mostWide = 2 ** 26;
const mostMade = 2 ** 30;

const rule = "fold-constants";

/** What a foldable value is computed from. */
interface Cone {
  readonly nodes: readonly Node[];
  /** Values below that are folded by themselves. */
  readonly folded: readonly Value[];
  /** What it is computed from, in bytes. */
  readonly bytes: number;
  /** The largest value on the way, and all of them, in bytes. */
  readonly widest: number;
  readonly made: number;
  readonly work: number;
}

/** Down to what is already to be folded, which is a constant then: however many values share a part, it is read once. */
function coneOf(value: Value, planned: ReadonlyMap<Value, Plan>): Cone {
  const { nodes, folded } = partOf(value, planned);
  let bytes = folded.reduce((sum, part) => sum + Number(bytesOf(part.type)), 0);
  let work = folded.reduce((most, part) => Math.max(most, planned.get(part)!.cone.work), 0);
  let [widest, made] = [0, 0];
  for (const node of nodes) {
    const results = node.results.map(({ type }) => Number(bytesOf(type)));
    // Counting takes no place in a file, however far.
    if (node.operands.length === 0 && node.op !== "iota") bytes += results[0]!;
    else {
      widest = Math.max(widest, ...results);
      made += results.reduce((sum, size) => sum + size, 0);
    }
    work += evaluateDim(flopsOf(node), noDims);
    for (const { type } of node.results) work += elementCount(type.shape as readonly number[]);
  }
  return { nodes, folded, bytes, widest, made, work };
}

function partOf(value: Value, planned: ReadonlyMap<Value, Plan>): Pick<Cone, "nodes" | "folded"> {
  const nodes = new Set([value.node]);
  const folded = new Set<Value>();
  for (const node of nodes)
    for (const operand of node.operands) {
      if (planned.has(operand)) folded.add(operand);
      else nodes.add(operand.node);
    }
  return { nodes: [...nodes].sort((p, q) => p.id - q.id), folded: [...folded] };
}

/** Nodes with a parameter below whose weights are not there. */
function withoutWeights(values: readonly Value[], cx: PassContext): ReadonlySet<Node> {
  const found = new Set<Node>();
  for (const node of topological(values)) {
    const missing = node.op === "param" && !cx.weights?.has(String(node.attrs.get("name")));
    if (missing || node.operands.some((operand) => found.has(operand.node))) found.add(node);
  }
  return found;
}

const noDims: ReadonlyMap<string, number> = new Map();

/** Values that can be computed ahead and are needed by what cannot, or by the outside. */
function frontier(graph: Graph): readonly Value[] {
  const needed = new Set<Value>();
  for (const node of nodesOf(graph))
    if (!node.results.every(isFoldable))
      for (const operand of node.operands) if (isComputed(operand)) needed.add(operand);
  for (const { value } of graph.outputs) if (isComputed(value)) needed.add(value);
  return [...needed];
}

const isComputed = (value: Value): boolean => value.node.operands.length > 0 && isFoldable(value);

interface Plan {
  readonly value: Value;
  readonly cone: Cone;
}

/** Ops whose result in a narrower type is the float64 one, rounded: those IEEE 754 asks it of, and those that compute nothing. */
const roundedOnce: ReadonlySet<string> = new Set(
  "add sub mul div sqrt neg abs sign floor ceil round max min select cast gather constant param iota".split(" "),
);
const isRoundedOnce = ({ op }: Node): boolean => roundedOnce.has(op) || opDef(op).traits.includes("movement");

/**
 * Whether a value is the same in its own precision as in float64, as far as something that rounds or compares follows:
 * a last bit may be a whole number there.
 */
function isSettled(value: Value, { nodes, work }: Cone, ahead: ReadonlySet<Node>, { weights }: PassContext): boolean {
  const edge = nodes.filter((node) => ahead.has(node) && node.results.some(({ type }) => type.dtype !== "f64"));
  if (edge.length === 0) return true;
  if (work > quickWork || !edge.every(isRoundedOnce)) return false;
  const stored = (value: Value, { dims, data }: RefTensor): HostTensor => fromNumbers(value.type.dtype, dims, data);
  const read = weights ? { weights } : {};
  const inItsOwn = (value: Value, tensor: RefTensor): RefTensor =>
    ahead.has(value.node) ? { ...tensor, data: toFloat64(stored(value, tensor)) } : tensor;
  const [exact] = evaluateValues([value], read);
  const [rounded] = evaluateValues([value], { ...read, watch: inItsOwn });
  const [p, q] = [exact!, rounded!].map((tensor) => tensorBytes(stored(value, tensor)));
  return p!.every((byte, i) => byte === q![i]);
}

/** Chooses what to fold. What is refused is looked into: a part of it may still fold. */
function plan(graph: Graph, cx: PassContext): readonly Plan[] {
  const ahead = aheadOfSteps(graph);
  const open = [...frontier(graph)].reverse();
  const seen = new Set(open);
  const plans = new Map<Value, Plan>();
  const missing = withoutWeights(open, cx);
  for (let value = open.pop(); value; value = open.pop()) {
    if (!missing.has(value.node)) {
      const cone = coneOf(value, plans);
      const refusal = refusalOf(value, cone, cx) ?? (isSettled(value, cone, ahead, cx) ? undefined : unsettled);
      if (refusal === undefined) {
        plans.set(value, { value, cone });
        continue;
      }
      cx.report.refused(rule, refusal, noteOf(cx, value.node));
    }
    for (const operand of value.node.operands)
      if (isComputed(operand) && !seen.has(operand)) {
        seen.add(operand);
        open.push(operand);
      }
  }
  return [...plans.values()];
}

const beyond = "integers in it are beyond those that float64 tells apart";
const unsettled = "it rounds to whole numbers, or compares, what the runtime computes in its own precision";

function refusalOf(value: Value, { bytes, widest, made, work }: Cone, cx: PassContext): string | undefined {
  if (value.node.op === "broadcast") return "repeating a tensor is left to the runtime";
  const growth = Number(bytesOf(value.type)) - bytes;
  if (growth > cx.options.foldLimitBytes) return "the result is too large for what it is made of";
  if (widest - bytes > mostWide || made - bytes > mostMade)
    return "what it takes on the way is too large for what it is made of";
  if (!cx.runtime && work > patientWork) return "it takes too long to compute without a runtime";
  return undefined;
}

/** Tensors of the planned values: small ones in float64, large ones by the runtime. */
async function compute(plans: readonly Plan[], cx: PassContext): Promise<ReadonlyMap<Value, HostTensor>> {
  const tensors = new Map<Value, HostTensor>();
  const isLarge = ({ cone }: Plan) => cx.runtime !== undefined && cone.work > quickWork;
  const large = plans.filter(isLarge).map(({ value }) => value);
  const small = plans.filter((entry) => !isLarge(entry)).map(({ value }) => value);
  const { weights } = cx;
  const untold = new Set<Node>();
  const watch = (value: Value, tensor: RefTensor): RefTensor => {
    if (isInteger(value.type.dtype) && !tensor.data.every(Number.isSafeInteger)) untold.add(value.node);
    return tensor;
  };
  const reference = evaluateValues(small, { ...(weights && { weights }), watch });
  small.forEach((value, i) => {
    const { dims, data } = reference[i]!;
    if (untold.size > 0 && topological([value]).some((node) => untold.has(node)))
      cx.report.refused(rule, beyond, noteOf(cx, value.node));
    else tensors.set(value, fromNumbers(value.type.dtype, dims, data));
  });
  if (large.length > 0) {
    const made = await cx.runtime!.evaluate(large, weights);
    large.forEach((value, i) => void tensors.set(value, made[i]!));
  }
  return tensors;
}

async function run(whole: Graph, cx: PassContext): Promise<Graph> {
  if (cx.options.without.has(rule)) return whole;
  const graph = await foldBranches(whole, cx);
  const plans = plan(graph, cx).filter(({ value }) => cx.options.allows(rule, value.node));
  if (plans.length === 0) return graph;
  const tensors = await compute(plans, cx);
  const replaced = new Map<Value, Value>();
  for (const { value, cone } of plans.filter((entry) => tensors.has(entry.value))) {
    const folded = cx.arena.build.constant({ value: tensors.get(value)! });
    const parts = cone.folded.flatMap((part) => replaced.get(part)?.node ?? []);
    const name = foldedName([...cone.nodes, ...parts], cx.arena);
    if (name !== undefined) cx.arena.hint(folded, { name });
    replaced.set(value, folded);
    cx.report.fired(rule);
  }
  return substitute(graph, replaced, cx.arena);
}

/** Branches of control flow are closed graphs: each is folded by itself. */
async function foldBranches(graph: Graph, cx: PassContext): Promise<Graph> {
  const replaced = new Map<Value, Value>();
  for (const node of nodesOf(graph)) {
    const folded = new Map<Graph, Graph>();
    for (const held of subgraphsOf(node)) folded.set(held, await run(held, cx));
    const next = withBranches(node, cx.arena, (held) => folded.get(held)!);
    if (next !== node) node.results.forEach((value, i) => void replaced.set(value, next.results[i]!));
  }
  return substitute(graph, replaced, cx.arena);
}

/** Computes ahead what only parameters and constants are needed for. */
export const foldConstants: Pass = {
  name: "fold-constants",
  doc: "Computes ahead what depends on parameters and constants only, unless the result is much larger than they are.",
  run,
};
