import type { Command } from "commander";
import pc from "picocolors";
import { fail } from "../ir/diagnostics.ts";
import { type VerifyReport, verify } from "../verify.ts";
import { dimsOf, type ModelFlags, openModel, printJson, withModelFlags } from "./common.ts";
import { bar, progress } from "./progress.ts";
import { renderTable, showError } from "./table.ts";

export function addVerify(program: Command): void {
  withModelFlags(program.command("verify"))
    .summary("check the numbers after every pass")
    .description(
      "Evaluates the graph after every pass in float64, and the finished file in ONNX Runtime at every optimisation level, on seeded inputs of odd sizes, against the graph as declared. Names the first pass that changes a result; exit code 4.",
    )
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  qkv verify models/multi-head.ts\n  qkv verify models/mla.ts --target onnx --opset 17",
    )
    .action(run);
}

async function run(path: string, flags: ModelFlags & { json?: boolean }): Promise<void> {
  const { declared, options } = await openModel(path, flags);
  const line = progress();
  const report = await verify(declared, {
    ...options,
    dims: dimsOf(flags),
    onProgress: (what, done, total) => line.update(`${bar(done, total)} ${what}`),
  }).finally(line.done);
  if (flags.json) printJson(report);
  else process.stdout.write(render(report));
  const { guilty } = report;
  if (guilty)
    fail("QKV503", `the first stage that changes the outputs is ${guilty.stage}`, {
      notes: [
        `seen with ${
          Object.entries(guilty.dims)
            .map(([name, size]) => `${name}=${size}`)
            .join(", ") || "fixed sizes"
        }`,
      ],
    });
}

function render({ runs, skipped }: VerifyReport): string {
  const tables = runs.map(({ dims, stages }) => {
    const sizes = Object.entries(dims).map(([name, size]) => `${name}=${size}`);
    const rows = stages.map(({ stage, maxAbsError, maxRelError, equal }) => [
      stage,
      showError(maxAbsError),
      showError(maxRelError),
      equal ? pc.green("yes") : pc.red("NO"),
    ]);
    return `${sizes.join(", ") || "fixed sizes"}\n${renderTable(["after", "max error", "relative", "equal"], rows)}`;
  });
  const left =
    skipped.length > 0 ? [`${skipped.length} larger sizes left out: the reference would take too long\n`] : [];
  return [...tables, ...left].join("\n");
}
