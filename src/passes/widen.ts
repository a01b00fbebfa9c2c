import { opDef } from "../ir/arena.ts";
import { reachesInput } from "../ir/constness.ts";
import { subgraphsOf } from "../ir/cost.ts";
import type { DType } from "../ir/dtype.ts";
import { type Graph, type Node, nodesOf, type Value } from "../ir/graph.ts";
import { castTensor, type HostTensor } from "../ir/tensor.ts";
import type { Pass, PassContext } from "./pass.ts";
import { aheadOfSteps, isElementwise } from "./rewrite/steps.ts";
import { withBranches, withOutputs } from "./rewrite/substitute.ts";

const rule = "widen";
const isNarrow = (dtype: DType): boolean => dtype === "f16" || dtype === "bf16";

/** What is of a narrow type, as it is or as f32. Of all else `narrow` is what there is. */
type Width = "narrow" | "wide";

/** Movements that a rewrite may take into what follows, where no cast stands between. */
const transparent: ReadonlySet<string> = new Set(["reshape", "transpose", "broadcast"]);

const moves = ({ op, attrs }: Node): boolean =>
  opDef(op).traits.includes("movement") || (op === "scatter" && attrs.get("reduction") !== "add");

/** The graph computing in f32 what it computed in a narrower type: see `widen`. */
class Widening {
  readonly #graph: Graph;
  readonly #cx: PassContext;
  /** Widths the results of a node can be made in; another is cast from the first of them. */
  readonly #widths = new Map<Node, readonly Width[]>();
  readonly #needed = new Map<Node, Set<Width>>();
  readonly #made = { narrow: new Map<Value, Value>(), wide: new Map<Value, Value>() };

  constructor(graph: Graph, cx: PassContext) {
    this.#graph = graph;
    this.#cx = cx;
  }

  run(): Graph {
    const nodes = nodesOf(this.#graph);
    const ahead = aheadOfSteps(this.#graph);
    for (const node of nodes) this.#widths.set(node, this.#widthsOf(node, ahead));
    const computed = nodes.filter(
      (node) => this.#widths.get(node)![0] === "wide" && node.op !== "cast" && !moves(node),
    );
    if (computed.length === 0) return this.#graph;
    this.#cx.report.fired(rule, computed.length);
    for (const { value } of this.#graph.outputs) this.#need(value, "narrow");
    for (const node of nodes.toReversed())
      for (const width of this.#needed.get(node)!) for (const operand of node.operands) this.#need(operand, width);
    for (const node of nodes) for (const width of this.#needed.get(node)!) this.#make(node, width);
    return withOutputs(this.#graph, (value) => this.#as(value, "narrow"));
  }

  #widthsOf(node: Node, ahead: ReadonlySet<Node>): readonly Width[] {
    const { op, operands, results } = node;
    const narrow = operands.filter(({ type }) => isNarrow(type.dtype));
    if (op === "constant" && isNarrow(results[0]!.type.dtype)) return ["narrow", "wide"];
    const isKept = operands.length === 0 || op === "opaque" || subgraphsOf(node).length > 0;
    if (isKept || ![...narrow, ...results].some(({ type }) => isNarrow(type.dtype))) return ["narrow"];
    const kept = narrow.filter((value) => this.#widths.get(value.node)!.includes("narrow"));
    const isAllKept = kept.length === narrow.length;
    // A step on what is rounded otherwise would be another whole number.
    if (isAllKept && isElementwise(node) && ahead.has(node)) return ["narrow"];
    if (!moves(node)) return ["wide"];
    // What is beside a cache goes to it, not the cache to what is beside.
    if (!isAllKept && !kept.some(reachesInput)) return ["wide"];
    return transparent.has(op) ? ["narrow", "wide"] : ["narrow"];
  }

  /** The width of those a value can be made in that another is made of. */
  #from({ node, type }: Value, width: Width): Width {
    const widths = this.#widths.get(node)!;
    return isNarrow(type.dtype) && widths.includes(width) ? width : widths[0]!;
  }

  #need(value: Value, width: Width): void {
    const needed = this.#needed.get(value.node) ?? new Set();
    this.#needed.set(value.node, needed.add(this.#from(value, width)));
  }

  #as(value: Value, width: Width): Value {
    const from = this.#from(value, width);
    const made = this.#made[from].get(value)!;
    if (!isNarrow(value.type.dtype) || from === width) return made;
    return this.#cx.arena.build.cast(made, { to: width === "wide" ? "f32" : value.type.dtype });
  }

  #make(node: Node, width: Width): void {
    const results = this.#resultsOf(node, width);
    node.results.forEach((value, i) => {
      this.#cx.arena.inherit(value, results[i]!);
      this.#made[width].set(value, results[i]!);
    });
  }

  #resultsOf(node: Node, width: Width): readonly Value[] {
    const { arena } = this.#cx;
    if (width === "wide" && node.op === "constant")
      return [arena.build.constant({ value: castTensor(node.attrs.get("value") as HostTensor, "f32") })];
    const operands = node.operands.map((operand) => this.#as(operand, width));
    if (width === "wide" && node.op === "cast") {
      const { dtype } = node.results[0]!.type;
      const to = isNarrow(dtype) ? "f32" : dtype;
      return operands[0]!.type.dtype === to ? operands : [arena.build.cast(operands[0]!, { to })];
    }
    const held = withBranches(node, arena, (branch) => new Widening(branch, this.#cx).run());
    return arena.rebuild(held, operands).results;
  }
}

/**
 * Processors compute in f32 what is kept in f16 or bf16, one operation at a time: from the narrow type and back to it.
 * Here it goes to and fro once, where a tensor comes in, is kept beside others, as a cache is, or leaves.
 */
export const widen: Pass = {
  name: "widen",
  doc: "Where the target has no arithmetic for half precision, it is computed in single precision throughout.",
  run: (graph, cx) =>
    cx.target.choices.widens && !cx.options.without.has(rule) ? new Widening(graph, cx).run() : graph,
};
