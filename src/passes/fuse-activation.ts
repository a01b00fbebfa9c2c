import type { Pass } from "./pass.ts";
import { runStages } from "./rewrite/stages.ts";
import { activationStages } from "./rules/activation.ts";

/** Needs a canonical graph; leaves one. */
export const fuseActivation: Pass = {
  name: "fuse-activation",
  doc: "Activations, spelled out, become one op; with the bias before them where the target has it.",
  run: (graph, cx) => runStages(graph, activationStages, cx),
};
