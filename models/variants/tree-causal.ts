import { attention, input, model } from "qkv";

/**
 * Tree-causal attention: drafted tokens that form a tree see everything before the tree, and their own ancestors.
 *
 * mask = k < past, or node k - past is q or an ancestor of it. Node i follows node parents[i] (-1: what came before);
 * a parent comes before its children. q holds the nodes, k and v the past and then the nodes.
 *
 * Miao et al., "SpecInfer" (arXiv:2305.09781), §4.2; Hao AI Lab, "JetSpec" (arXiv:2606.18394).
 */
const defaults = { heads: 8, d: 64, parents: [-1, 0, 0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 6, 7, 9, 9] };

export default model("tree-causal", defaults, ({ heads, d, parents }) => {
  const nodes = parents.length;
  const q = input("q", "f32", ["batch", heads, nodes, d]);
  const keys = input("k", "f32", ["batch", heads, `past + ${nodes}`, d]);
  const v = input("v", "f32", ["batch", heads, `past + ${nodes}`, d]);
  const ancestors = ancestorsOf(parents);
  const o = attention(q, keys, v, {
    mask: ({ q, k }) => {
      const past = Number(keys.dim(2)) - nodes;
      return k < past || ancestors[q]![k - past]!;
    },
  });
  return { o };
});

/** Whether node j is node i or lies on its way to the root. */
function ancestorsOf(parents: readonly number[]): readonly (readonly boolean[])[] {
  const rows: boolean[][] = [];
  parents.forEach((parent, i) => {
    rows.push(parents.map((_, j) => j === i || (rows[parent]?.[j] ?? false)));
  });
  return rows;
}
