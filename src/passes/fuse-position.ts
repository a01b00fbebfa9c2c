import type { Pass } from "./pass.ts";
import { runStages, type Stages } from "./rewrite/stages.ts";
import { ropeMatcher } from "./rules/position.ts";
import { rotatedPairsMatcher } from "./rules/rotated-pairs.ts";

export const positionStages: Stages = [[ropeMatcher, rotatedPairsMatcher]];

/** Needs a canonical graph; leaves one. */
export const fusePosition: Pass = {
  name: "fuse-position",
  doc: "Rotary positions, spelled out, become one op.",
  run: (graph, cx) => runStages(graph, positionStages, cx),
};
