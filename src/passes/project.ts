import type { Graph } from "../ir/graph.ts";
import { packedHeads } from "./attention/heads.ts";
import { canonicaliseRules } from "./canonicalise.ts";
import type { Pass, PassContext } from "./pass.ts";
import { keyBiasUnseen, valueBiasThrough } from "./projection/bias.ts";
import { mergeProjections } from "./projection/merge.ts";
import { scaleIntoWeights } from "./projection/scale.ts";
import { normalise } from "./rewrite/normalise.ts";
import { silent } from "./rewrite/report.ts";
import { runStages, type Stages } from "./rewrite/stages.ts";

export const projectStages: Stages = [[packedHeads], [scaleIntoWeights, keyBiasUnseen, valueBiasThrough]];

function run(graph: Graph, cx: PassContext): Graph {
  const scaled = runStages(graph, projectStages, cx);
  const merged = mergeProjections(scaled, cx);
  return merged === scaled ? scaled : normalise(merged, canonicaliseRules, silent(cx));
}

/** Needs a canonical graph; leaves one. What it writes on weights, `fold-constants` computes. */
export const project: Pass = {
  name: "project",
  doc: "Heads are packed where the target takes them so; factors and biases go into the weights they follow; projections of one input become one product where the target gains.",
  run,
};
