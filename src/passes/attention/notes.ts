import { everything } from "../../ir/attend.ts";
import { subgraphsOf } from "../../ir/cost.ts";
import { show } from "../../ir/dim.ts";
import { type Graph, type Node, nodesOf, type Uses, usesOf, type Value } from "../../ir/graph.ts";
import { formulaText } from "../../ir/index-expr/text.ts";
import { type IndexExpr, score as theScore } from "../../ir/index-expr/types.ts";
import { attentionExtras } from "../../ir/ops/attention.ts";
import type { PassContext } from "../pass.ts";
import { exclusiveIn } from "../rewrite/fuse.ts";
import { noteOf } from "../rewrite/report.ts";
import { asWritten } from "./build.ts";
import { attentionMatcher } from "./match.ts";
import { scorePath } from "./scores.ts";

/** How far from a softmax its products are looked for. */
const maxSteps = 24;

const placed = (node: Node, cx: PassContext): string => {
  const { value, location } = noteOf(cx, node);
  return `%${value}${location ? ` (${location.file}:${location.line}:${location.column})` : ""}`;
};

/** `seeing q - 128 < k`, `scores Math.tanh(s) * 50`. */
const formulasOf = ({ attrs }: Node): readonly string[] =>
  (
    [
      ["mask", "seeing", everything],
      ["score", "scores", theScore()],
      ["prob", "weights", theScore()],
    ] as const
  ).flatMap(([name, says, plain]) => {
    const formula = attrs.get(name) as IndexExpr;
    return formula === plain ? [] : [`${says} ${formulaText(formula)}`];
  });

/** `attention %y: 8 heads over 2, causal, with a mask`. */
function describe(node: Node, cx: PassContext): string {
  const [q, k, , ...extras] = node.operands as [Value, Value, ...Value[]];
  const [heads, kvHeads] = [q.type.shape[1]!, k.type.shape[1]!];
  const { mask, bias } = attentionExtras(extras, node.attrs.get("tables") as number | undefined);
  const parts = [
    `${show(heads)} ${heads === 1 ? "head" : "heads"}${heads === kvHeads ? "" : ` over ${show(kvHeads)}`}`,
    ...(node.attrs.get("causal") ? ["causal"] : []),
    ...(node.op === "attention" ? formulasOf(node) : []),
    ...(mask ? ["with a mask"] : []),
    ...(bias ? ["with a bias"] : []),
    ...(node.op === "attentionWithWeights" ? ["answering its weights"] : []),
  ];
  return `attention ${placed(node, cx)}: ${parts.join(", ")}`;
}

/** The nodes above or below a value up to products, in the order of their distance. */
function upToProducts(start: Node, next: (node: Node) => readonly Node[]): readonly Node[] {
  const found = new Set<Node>();
  let front = new Set(next(start));
  for (let i = 0; i < maxSteps && front.size > 0; i++) {
    for (const node of front) found.add(node);
    const open = [...front].filter(({ op }) => op !== "contract");
    front = new Set(open.flatMap(next).filter((node) => !found.has(node)));
  }
  return [...found];
}

const attentions: ReadonlySet<string> = new Set(["attention", "attentionWithWeights"]);
const movements: ReadonlySet<string> = new Set(["reshape", "transpose", "contract"]);

interface Blocker {
  readonly node: Node;
  readonly why: string;
}

/** What keeps a softmax between two products from being an attention; undefined where it is not between two. */
function blockerOf(softmax: Node, uses: Uses, cx: PassContext): Blocker | undefined {
  const above = betweenProducts(softmax, uses);
  const root = above?.find(({ op }) => op === "contract");
  if (!above || !root) return undefined;
  const within = { uses, exclusive: exclusiveIn(uses), holder: undefined, within: "" };
  const outcome = attentionMatcher.match(root, { ...cx, ...within });
  if (outcome && "reason" in outcome) return { node: outcome.at.node, why: outcome.reason };
  const path = scorePath(softmax.operands[0]!);
  if ("reason" in path) return { node: path.at.node, why: path.reason };
  const node = above.find(({ op }) => !movements.has(op)) ?? root;
  return { node, why: `between the probabilities and the values is ${node.op}` };
}

/** The nodes above one that is between two products, up to the second; undefined where it is not. */
function betweenProducts(node: Node, uses: Uses): readonly Node[] | undefined {
  const usersOf = ({ results }: Node) =>
    results.flatMap((value) => (uses.users.get(value) ?? []).map((use) => use.node));
  const below = upToProducts(node, ({ operands }) => operands.map((operand) => operand.node));
  const above = upToProducts(node, usersOf);
  return [below, above].every((nodes) => nodes.some(({ op }) => op === "contract")) ? above : undefined;
}

const softmaxParts: ReadonlySet<string> = new Set(["reduceSum", "div", ...movements]);

/** What keeps exponentials that are divided by a sum, between two products, from being a softmax. */
function spelledBlockerOf(exp: Node, uses: Uses): Blocker | undefined {
  const above = betweenProducts(exp, uses);
  const divided = above?.find(({ op }) => op === "div");
  if (!above || !divided || !above.some(({ op }) => op === "reduceSum")) return undefined;
  const path = scorePath(exp.operands[0]!);
  if ("reason" in path) return { node: path.at.node, why: path.reason };
  const node = above.find(({ op }) => !softmaxParts.has(op));
  return node
    ? { node, why: `a softmax is written out with ${node.op} in it` }
    : { node: divided, why: "a softmax is written out whose sum is another" };
}

/**
 * What an attention pass tells a reader: each attention there is, and of each softmax between two products that became
 * none, written out or not, the operation that stands in the way.
 */
export function noteAttentions(graph: Graph, cx: PassContext): void {
  const open = [graph];
  for (let next = open.pop(); next; next = open.pop()) {
    const uses = usesOf(next);
    for (const node of nodesOf(next)) {
      open.push(...subgraphsOf(node));
      if (attentions.has(node.op)) cx.report.note(describe(node, cx));
      if (next.name === asWritten) continue;
      const [isSoftmax, isExp] = [node.op === "softmax", node.op === "exp"];
      const blocker = isSoftmax ? blockerOf(node, uses, cx) : isExp ? spelledBlockerOf(node, uses) : undefined;
      if (blocker)
        cx.report.note(
          `no attention at ${placed(node, cx)}: ${blocker.why}; blocked by ${blocker.node.op} ${placed(blocker.node, cx)}`,
        );
    }
  }
}
