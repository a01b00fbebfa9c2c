import { resultOrder, specOf, turned } from "../ir/contraction.ts";
import type { Node, Value } from "../ir/graph.ts";
import type { Pass } from "./pass.ts";
import { fuse, type Matcher } from "./rewrite/fuse.ts";

/** The axes of `other`'s result in the order of `node`'s, where both are one contraction of the same operands. */
function orderIn(node: Node, other: Node): readonly number[] | undefined {
  if (other.op !== "contract" || node.operands.length !== other.operands.length) return undefined;
  const [mine, theirs] = [specOf(node), specOf(other)];
  const sameOperands = (operands: readonly Value[]) => node.operands.every((value, i) => value === operands[i]);
  const asIs = sameOperands(other.operands) ? resultOrder(mine, theirs) : undefined;
  if (asIs || node.operands.length !== 2 || !sameOperands(other.operands.toReversed())) return asIs;
  return resultOrder(mine, turned(theirs));
}

/** Whether the result keeps its labels as the operands have them: no product needs another transpose for it. */
function isPlain(node: Node): boolean {
  const { operands, result } = specOf(node);
  const kept = [...new Set(operands.flat())].filter((label) => result.includes(label));
  return kept.every((label, axis) => label === result[axis]);
}

export const sharedContraction: Matcher = {
  name: "shared-contraction",
  formula: "contract(x, …) = transpose(contract(x, …)) where the latter is there in another order",
  roots: ["contract"],
  refuses: [],
  match(root, { uses, arena }) {
    const users = new Set(uses.users.get(root.operands[0]!)?.map(({ node }) => node));
    const same = [...users].filter((node) => node === root || orderIn(root, node));
    const first = same.find(isPlain) ?? same[0];
    if (!first || first === root) return undefined;
    const [perm, value] = [orderIn(root, first)!, first.results[0]!];
    const moved = perm.some((axis, i) => axis !== i) ? arena.build.transpose(value, { perm }) : value;
    return { values: [moved], covered: [root] };
  },
};

/**
 * `canonicalise` takes transposes into the contractions they follow, whoever else needs those in another order. Here, once
 * nothing is matched any more, they come apart again.
 */
export const share: Pass = {
  name: "share",
  doc: "What is needed in several orders is contracted once, and transposed.",
  run: (graph, cx) => fuse(graph, [sharedContraction], cx),
};
