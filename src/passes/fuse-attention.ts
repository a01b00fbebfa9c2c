import type { Graph } from "../ir/graph.ts";
import { groupedHeads, packedHeads } from "./attention/heads.ts";
import { attentionMatcher } from "./attention/match.ts";
import { canonicaliseRules } from "./canonicalise.ts";
import type { Pass, PassContext } from "./pass.ts";
import { fuse, type Matcher } from "./rewrite/fuse.ts";
import { normalise } from "./rewrite/normalise.ts";
import { silent } from "./rewrite/report.ts";
import type { Rule } from "./rewrite/rule.ts";
import { softmaxRules } from "./rules/softmax.ts";

/** Stages: each works on what the one before has made, tidied up. */
export const attentionStages: readonly (readonly (Rule | Matcher)[])[] = [
  softmaxRules,
  [attentionMatcher],
  [groupedHeads],
  [packedHeads],
];

function run(graph: Graph, cx: PassContext): Graph {
  let current = graph;
  for (const stage of attentionStages) {
    const fused = fuse(current, stage, cx);
    current = fused === current ? current : normalise(fused, canonicaliseRules, silent(cx));
  }
  return current;
}

/** Needs a canonical graph; leaves one. */
export const fuseAttention: Pass = {
  name: "fuse-attention",
  doc: "Any spelling of softmax attention becomes `attention`; heads are packed where the target takes them so.",
  run,
};
