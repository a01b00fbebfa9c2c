import { graphOf } from "../../../../ir/arena.ts";
import { type Dim, show, substitute, symbolsOf } from "../../../../ir/dim.ts";
import type { Value } from "../../../../ir/graph.ts";
import { type HostTensor, toFloat64 } from "../../../../ir/tensor.ts";
import type { Conversion, NodeContext } from "../node.ts";
import { isName } from "../symbols.ts";
import { unmodelled } from "../unmodelled.ts";

/**
 * A choice between two graphs. Where the condition is known, the branch taken stands in its place. Sizes that differ between
 * the branches, or are known inside of one only, get a name both refine their results to.
 */
const choice: Conversion = (cx) => {
  const [thenGraph, elseGraph] = [cx.graph("then_branch"), cx.graph("else_branch")];
  const known = cx.numbersOrUndefined(0)?.[0];
  if (known !== undefined) return cx.inline(known !== 0 ? thenGraph : elseGraph);
  const outside = cx.symbols.known();
  const sizes = sizesWhere(cx.value(0));
  const branches = [cx.symbols.given(sizes, () => cx.branch(thenGraph)), cx.branch(elseGraph)] as const;
  const [left, right] = branches.map(({ results }) => results.map((entry) => entry.value())) as [Value[], Value[]];
  const named = new Map<string, Dim>();
  const shapes = left.map((value, i) =>
    joined(cx, value, right[i], cx.node.outputs[i] ?? "", { outside, named, sizes }),
  );
  const captured = new Map(
    branches.flatMap(({ captured: pairs }) => pairs.map(({ inner, outer }) => [inner, outer] as const)),
  );
  const graph = (name: string, results: readonly Value[]) =>
    graphOf(
      name,
      [...captured.keys()],
      results.map((value, i) => [`result_${i}`, refined(cx, value, shapes[i]!)] as const),
    );
  const whenTrue = graph(thenGraph.name || "then", left);
  const whenFalse = graph(elseGraph.name || "else", right);
  const condition = cx.value(0);
  const scalar = condition.type.shape.length === 0 ? condition : cx.b.reshape(condition, { shape: [] });
  return cx.arena.node("if", [scalar, ...captured.values()], { whenTrue, whenFalse }).results;
};

/** What names of sizes are where a condition holds: `size = number`, and conjunctions of those. */
function sizesWhere({ node }: Value): ReadonlyMap<string, number> {
  const [x, y] = node.operands;
  if (node.op === "and") return new Map([...sizesWhere(x!), ...sizesWhere(y!)]);
  if (node.op === "reshape") return sizesWhere(x!);
  if (node.op !== "equal") return new Map();
  const [size, other] = x!.node.op === "size" ? [x!, y!] : [y!, x!];
  const number = numberOf(other);
  const of = size.node.op === "size" ? (size.node.attrs.get("of") as Dim) : undefined;
  return of !== undefined && isName(of) && number !== undefined ? new Map([[show(of), number]]) : new Map();
}

function numberOf({ node, type }: Value): number | undefined {
  if (node.op !== "constant" || type.shape.some((dim) => dim !== 1)) return undefined;
  return toFloat64(node.attrs.get("value") as HostTensor)[0];
}

interface Sizes {
  /** What names are in the first branch. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly outside: ReadonlySet<string>;
  /** What stands for a size that is one thing in one branch and another in the other: the same for the same two. */
  readonly named: Map<string, Dim>;
}

/** The shape of a result of either branch, as the graph around sees it. */
function joined(
  cx: NodeContext,
  a: Value,
  b: Value | undefined,
  name: string,
  { outside, named, sizes }: Sizes,
): readonly Dim[] {
  if (!b || a.type.dtype !== b.type.dtype || a.type.shape.length !== b.type.shape.length)
    return unmodelled("its branches give tensors of different types");
  return a.type.shape.map((dim, axis) => {
    const other = b.type.shape[axis]!;
    if (dim !== other && dim === substitute(other, sizes)) return other;
    if (dim === other && symbolsOf(dim).every((symbol) => outside.has(symbol))) return dim;
    const both = `${show(dim)} | ${show(other)}`;
    const known = named.get(both) ?? cx.symbols.unknown(`${name}.${axis}`);
    named.set(both, known);
    return known;
  });
}

const refined = (cx: NodeContext, value: Value, shape: readonly Dim[]): Value =>
  value.type.shape.every((dim, axis) => dim === shape[axis]) ? value : cx.b.refine(value, { shape });

/** Operators that run graphs. */
export const controlConversions: Readonly<Record<string, Conversion>> = { If: choice };
