import type { Command } from "commander";
import { printJson } from "./common.ts";

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
  const { probeRuntime, renderProbe } = await import("../backends/ort/doctor.ts");
  const probe = await probeRuntime();
  if (flags.json) return printJson(probe);
  process.stdout.write(renderProbe(probe));
}
