import type { Pass } from "./pass.ts";
import { runStages } from "./rewrite/stages.ts";
import { normStages } from "./rules/norm.ts";

/** Needs a canonical graph; leaves one. */
export const fuseNorm: Pass = {
  name: "fuse-norm",
  doc: "Layer and root-mean-square norms, spelled out, become one op; with the sum before them where the target has it.",
  run: (graph, cx) => runStages(graph, normStages, cx),
};
