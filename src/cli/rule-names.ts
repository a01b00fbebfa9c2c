import { fail } from "../ir/diagnostics.ts";
import { nearestOf } from "../ir/nearest-name.ts";
import type { PassStep } from "../passes/instruments.ts";
import { passes } from "../passes/pipeline.ts";
import { rulesByPass } from "../passes/rules/index.ts";

/** Throws QKV502 where a name is that of no pass and no rule, neither listed nor met with in these steps. */
export function checkRuleName(rule: string, steps: readonly PassStep[]): void {
  const names = new Set([
    ...passes.map(({ name }) => name),
    ...Array.from(rulesByPass.values(), (rules) => rules.map(({ name }) => name)).flat(),
    ...steps.flatMap(({ tally }) => [...tally.fired.keys(), ...tally.refused.keys()]),
  ]);
  if (!names.has(rule)) fail("QKV502", `there is no pass or rule "${rule}"`, { help: nearestOf(rule, [...names]) });
}
