import { groupedHeads, packedHeads } from "./attention/heads.ts";
import { attentionMatcher } from "./attention/match.ts";
import type { Pass } from "./pass.ts";
import { runStages, type Stages } from "./rewrite/stages.ts";
import { softmaxRules } from "./rules/softmax.ts";

export const attentionStages: Stages = [softmaxRules, [attentionMatcher], [groupedHeads], [packedHeads]];

/** Needs a canonical graph; leaves one. */
export const fuseAttention: Pass = {
  name: "fuse-attention",
  doc: "Any spelling of softmax attention becomes `attention`; heads are packed where the target takes them so.",
  run: (graph, cx) => runStages(graph, attentionStages, cx),
};
