import type { Graph } from "../../ir/graph.ts";
import { canonicaliseRules } from "../canonicalise.ts";
import type { PassContext } from "../pass.ts";
import { fuse, type Matcher } from "./fuse.ts";
import { normalise } from "./normalise.ts";
import { silent } from "./report.ts";
import type { Rule } from "./rule.ts";

/** Stages of a fusion pass: each works on what the one before has made. */
export type Stages = readonly (readonly (Rule | Matcher)[])[];

/** Runs stages one after the other, tidying up in between. Needs a canonical graph; leaves one. */
export function runStages(graph: Graph, stages: Stages, cx: PassContext): Graph {
  let current = graph;
  for (const stage of stages) {
    const fused = fuse(current, stage, cx);
    current = fused === current ? current : normalise(fused, canonicaliseRules, silent(cx));
  }
  return current;
}
