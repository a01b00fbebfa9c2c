import { attrRecord, opDef } from "../ir/arena.ts";
import type { Node } from "../ir/graph.ts";
import { hasFormulas } from "../ir/ops/attention.ts";
import { type OpName, ops } from "../ir/ops/index.ts";
import type { Pass } from "./pass.ts";
import { normalise } from "./rewrite/normalise.ts";
import { type Rule, rule } from "./rewrite/rule.ts";
import { loose } from "./rewrite/term.ts";
import type { Target } from "./target.ts";

/** Why a target cannot run a composite as it is; undefined where it can. */
export function kernelRefusal(node: Node, target: Target): string | undefined {
  if (!target.kernels.has(node.op as OpName)) return `${target.name} has no ${node.op}`;
  return conditions[node.op]?.(node, target);
}

type Condition = (node: Node, target: Target) => string | undefined;

const dtypeOf = (node: Node): string => node.operands[0]!.type.dtype;
const single: Condition = (node) =>
  ["f32", "f16"].includes(dtypeOf(node)) ? undefined : `no kernel computes in ${dtypeOf(node)}`;

const attends: Condition = (node, target) => {
  if (hasFormulas(node)) return "kernels take no formulas";
  if (node.attrs.get("normaliser") !== "softmax") return "kernels normalise by softmax only";
  return weighs(node, target);
};

const weighs: Condition = (node, target) => {
  // Kernels take √scale of queries and keys alike.
  if (!((node.attrs.get("scale") as number) > 0)) return "kernels need a positive scale";
  return single(node, target);
};

/** What kernels ask beyond being there. */
const conditions: Readonly<Record<string, Condition>> = {
  attention: attends,
  attentionWithWeights: weighs,
  packedAttention: attends,
  gelu: single,
  biasGelu: single,
  elu: single,
  silu: single,
  rope: single,
  rmsNorm: single,
  skipLayerNorm: single,
  skipRmsNorm: single,
};

/** One rule for each composite: what the target lacks becomes its decomposition. */
export const legaliseRules: readonly Rule[] = (Object.keys(ops) as OpName[])
  .filter((op) => opDef(op).decompose)
  .map((op) =>
    rule({
      name: `decompose-${op}`,
      formula: `${op}(…) = its decomposition, where the target has no kernel for it`,
      left: loose(op),
      right: (m, b) => {
        const { node } = m.root;
        if (!kernelRefusal(node, m.target)) return undefined;
        return opDef(op).decompose!(b, node.operands, attrRecord(node));
      },
      tolerance: "reordered",
    }),
  );

/** Composites the target lacks become simpler ops, until it has them all. */
export const legalise: Pass = {
  name: "legalise",
  doc: "Decomposes the composites for which the target has no kernel.",
  run: (graph, cx) => normalise(graph, legaliseRules, cx),
};
