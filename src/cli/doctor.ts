import type { Command } from "commander";
import pc from "picocolors";
import { probeRuntime, type RuntimeReport } from "../backends/ort/doctor.ts";
import { printJson } from "./common.ts";
import { bar, progress } from "./progress.ts";

export function addDoctor(program: Command): void {
  program
    .command("doctor")
    .summary("what this machine's runtime can and cannot do")
    .description("Probes ONNX Runtime on this machine: execution providers, and what its attention ops really mean.")
    .option("--json", "as JSON")
    .addHelpText("after", "\nExamples:\n  qkv doctor\n  qkv doctor --json")
    .action(run);
}

async function run(flags: { readonly json?: boolean }): Promise<void> {
  const line = progress();
  const report = await probeRuntime((done, total) => line.update(`${bar(done, total)} probing`)).finally(line.done);
  if (flags.json) return printJson(report);
  process.stdout.write(render(report));
}

function render({ version, node, platform, providers, opsetCeiling, probes }: RuntimeReport): string {
  const lines = [
    `ONNX Runtime ${version}, Node ${node}, ${platform}; newest operator set that loads: ${opsetCeiling}`,
    "",
  ];
  for (const { name, usable, reason } of providers)
    lines.push(`${usable ? pc.green("usable  ") : pc.yellow("unusable")} ${name}${reason ? `: ${reason}` : ""}`);
  lines.push("");
  for (const { name, provider, question, answer, ok } of probes)
    lines.push(`${ok ? pc.green("as specified") : pc.red("differs     ")} ${provider} ${name}: ${question} ${answer}`);
  return `${lines.join("\n")}\n`;
}
