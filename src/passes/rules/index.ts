import { canonicaliseRules } from "../canonicalise.ts";
import { attentionStages } from "../fuse-attention.ts";
import { positionStages } from "../fuse-position.ts";
import { legaliseRules } from "../legalise.ts";
import { lineariseMatchers } from "../linearise.ts";
import { forms } from "../mask/choose.ts";
import type { Form } from "../mask/form.ts";
import { heldScores } from "../mask/steep.ts";
import { projectStages } from "../project.ts";
import { merging } from "../projection/merge.ts";
import type { Matcher } from "../rewrite/fuse.ts";
import type { Rule } from "../rewrite/rule.ts";
import { cutHidden } from "../schedule.ts";
import { sharedContraction } from "../share.ts";
import { activationStages } from "./activation.ts";
import { normStages } from "./norm.ts";

/** What is described as a rule is: a form of masks, a search. */
type Described = Pick<Form, "name" | "formula" | "refuses">;

/** Every rule there is, by the pass that applies it: what documentation and tests read. */
export const rulesByPass: ReadonlyMap<string, readonly (Rule | Matcher | Described)[]> = new Map<
  string,
  readonly (Rule | Matcher | Described)[]
>([
  ["canonicalise", canonicaliseRules],
  ["linearise", lineariseMatchers],
  ["fuse-attention", attentionStages.flat()],
  ["mask", [...forms, heldScores]],
  ["fuse-norm", normStages.flat()],
  ["fuse-position", positionStages.flat()],
  ["fuse-activation", activationStages.flat()],
  ["project", [...projectStages.flat(), merging]],
  ["schedule", [cutHidden]],
  ["legalise", legaliseRules],
  ["share", [sharedContraction]],
]);
