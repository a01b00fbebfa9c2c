import { combinedWeights, dividedWeights } from "./attention/combined-weights.ts";
import { groupedHeads } from "./attention/heads.ts";
import { joinedKeys, joinedValues } from "./attention/joined-keys.ts";
import { biasAboveLowest } from "./attention/lowest.ts";
import { attentionMatcher } from "./attention/match.ts";
import { noteAttentions } from "./attention/notes.ts";
import { severalValues } from "./attention/several-values.ts";
import { slicedWeights } from "./attention/sliced-weights.ts";
import { toldMask } from "./attention/told-mask.ts";
import type { Pass } from "./pass.ts";
import { runStages, type Stages } from "./rewrite/stages.ts";
import { softmaxRules } from "./rules/softmax.ts";

export const attentionStages: Stages = [
  softmaxRules,
  [joinedValues],
  [joinedKeys],
  [slicedWeights],
  [combinedWeights, dividedWeights],
  [severalValues],
  [attentionMatcher],
  [groupedHeads],
  [toldMask],
  [biasAboveLowest],
];

/** Needs a canonical graph; leaves one. */
export const fuseAttention: Pass = {
  name: "fuse-attention",
  doc: "Any spelling of softmax attention becomes `attention`; key heads that groups repeat are shared.",
  clears: true,
  run(graph, cx) {
    const fused = runStages(graph, attentionStages, cx);
    noteAttentions(fused, cx);
    return fused;
  },
};
