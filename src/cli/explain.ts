import type { Command } from "commander";
import pc from "picocolors";
import { passJson } from "../compare.ts";
import { compile, type Declared } from "../compile.ts";
import { costOf } from "../ir/cost.ts";
import { fail } from "../ir/diagnostics.ts";
import { show } from "../ir/dim.ts";
import type { PassStep } from "../passes/instruments.ts";
import type { Refusal } from "../passes/pass.ts";
import { dimsOf, type ModelFlags, openModel, printJson, printReport, withModelFlags } from "./common.ts";
import { checkRuleName } from "./rule-names.ts";

export function addExplain(program: Command): void {
  withModelFlags(program.command("explain"))
    .argument("[rule]", "only this pass or rule, with every place it was considered")
    .summary("say what each pass did, what it refused and why")
    .description("Per pass: which rules fired, which refused and why, and the cost formula before and after.")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
Examples:
  qkv explain models/linear-attention.ts
  qkv explain models/mla.ts reassociate --dims q=1,k=4096`,
    )
    .action(run);
}

async function run(path: string, rule: string | undefined, flags: ModelFlags & { json?: boolean }): Promise<void> {
  const { declared, options } = await openModel(path, flags);
  // Sizes are hints here: formulas stay formulas.
  const { steps } = await compile(declared, { ...options, hints: dimsOf(flags, declared) });
  const chosen = rule === undefined ? steps : steps.filter((step) => concerns(step, rule));
  const taken = rule === undefined || rule === importName ? [declared].filter(({ file }) => file !== undefined) : [];
  if (rule !== undefined && chosen.length === 0 && taken.length === 0) {
    checkRuleName(rule, steps);
    fail("QKV502", `"${rule}" was not considered here`, { help: `the passes are ${passNames(steps)}` });
  }
  if (flags.json) return printJson([...taken.map(importJson), ...chosen.map(passJson)]);
  printReport([...taken.map(describeImport), ...chosen.map((step) => describe(step, rule))].join("\n"));
}

const importName = "import";

/** What was made of the file, before any pass. */
function describeImport({ equal = [], opaque = [] }: Declared): string {
  const lines = [
    `${pc.bold(importName)}: The file's operators become ours; those the IR has no ops for stay as they are.`,
    ...equal.map(({ name, dim }) => `  ${pc.green("taken")}   ${name} = ${show(dim)}`),
    ...opaque.map(({ operator, reason, count }) => `  ${pc.yellow("kept")}    ${operator} ×${count}: ${reason}`),
  ];
  return `${lines.join("\n")}\n`;
}

/** A report like those of passes: whoever reads all of them finds rules in each. */
const importJson = ({ equal = [], opaque = [] }: Declared) => ({
  name: importName,
  rules: { fired: {}, refused: {} },
  equal: equal.map(({ name, dim }) => ({ name, dim: show(dim) })),
  opaque,
});

const passNames = (steps: readonly PassStep[]) => [...new Set(steps.map(({ pass }) => pass.name))].join(", ");

const concerns = ({ pass, tally }: PassStep, rule: string): boolean =>
  pass.name === rule || tally.fired.has(rule) || tally.refused.has(rule);

function describe({ pass, before, after, tally }: PassStep, rule: string | undefined): string {
  const wanted = (name: string) => rule === undefined || rule === pass.name || rule === name;
  const lines = [`${pc.bold(pass.name)}: ${pass.doc}`];
  for (const [name, count] of tally.fired) if (wanted(name)) lines.push(`  ${pc.green("fired")}   ${name} ×${count}`);
  for (const [name, reasons] of tally.refused)
    if (wanted(name))
      for (const [reason, count] of reasons) lines.push(`  ${pc.yellow("refused")} ${name} ×${count}: ${reason}`);
  if (rule !== undefined) lines.push(...tally.misses.filter((miss) => wanted(miss.rule)).map(describeMiss));
  for (const note of tally.notes) lines.push(...note.split("\n").map((text) => `  ${text}`));
  const [from, to] = [costOf(before), costOf(after)];
  if (before === after) lines.push(pc.dim("  nothing changed"));
  else {
    lines.push(`  nodes   ${from.nodes} → ${to.nodes}`);
    if (from.flops !== to.flops) lines.push(`  FLOPs   ${show(from.flops)}`, `        → ${show(to.flops)}`);
  }
  return `${lines.join("\n")}\n`;
}

function describeMiss({ rule, reason, value, location, detail }: Refusal): string {
  const at = location ? ` (${location.file}:${location.line}:${location.column})` : "";
  return `    ${rule}${value ? ` at %${value}` : ""}${at}: ${reason}${detail ? `; ${detail}` : ""}`;
}
