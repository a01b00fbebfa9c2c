import type { Command } from "commander";
import pc from "picocolors";
import { readTensors } from "../backends/ort/tensor-files.ts";
import { fail } from "../ir/diagnostics.ts";
import { showName } from "../ir/text-names.ts";
import { verify } from "../verify.ts";
import type { Guilty, VerifyReport } from "../verify-report.ts";
import { dimsOf, type ModelFlags, openModel, printJson, printReport, withModelFlags } from "./common.ts";
import { bar, progress } from "./progress.ts";
import { renderTable, showError } from "./table.ts";

export function addVerify(program: Command): void {
  withModelFlags(program.command("verify"))
    .summary("check the numbers after every pass")
    .description(
      "Evaluates the graph after every pass in float64, and the finished file in ONNX Runtime at every optimisation level, on seeded inputs of odd sizes, against the graph as declared. Names the first pass that changes a result; exit code 4.",
    )
    .option("--inputs <file>", "inputs by name, .safetensors or .json, instead of seeded ones")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  qkv verify models/multi-head.ts\n  qkv verify models/mla.ts --target onnx --opset 17",
    )
    .action(run);
}

async function run(path: string, flags: ModelFlags & { inputs?: string; json?: boolean }): Promise<void> {
  const feeds = flags.inputs === undefined ? undefined : readTensors(flags.inputs);
  const { declared, options } = await openModel(path, flags, feeds && new Set(feeds.keys()));
  const line = progress();
  const report = await verify(declared, {
    ...options,
    dims: dimsOf(flags, declared),
    ...(feeds && { feeds }),
    onProgress: (what, done, total) => line.update(`${bar(done, total)} ${what}`),
  }).finally(line.done);
  if (flags.json) printJson(report);
  else printReport(render(report));
  if (report.guilty) accuse(report.guilty, report);
}

/** Throws QKV503 naming the stage, the rule, the node and the sizes. */
function accuse({ stage, index, dims, rule, node, rewrite }: Guilty, { runs }: VerifyReport): never {
  const at = node && `at ${node.name === undefined ? "" : `${showName(node.name)}, `}${node.op}`;
  const error = runs.flatMap(({ stages }) => stages).find((one) => one.stage === stage && one.error)?.error;
  return fail("QKV503", `the first stage that changes the outputs is ${stage}`, {
    ...(node?.location && { location: node.location }),
    notes: [
      ...(rule === undefined ? [] : [`by the rule ${rule}${at ? ` ${at}` : ""}`]),
      ...(rewrite
        ? [`rewrite ${rewrite.number} of ${rewrite.total}: without it and those after it the pass is right`]
        : []),
      ...(error === undefined ? [] : [`it fails: ${error}`]),
      `seen with ${showSizes(dims)}`,
    ],
    ...(index !== null && rule !== undefined && { help: "qkv reduce makes the graph as small as it still shows this" }),
  });
}

const showSizes = (dims: Readonly<Record<string, number>>): string =>
  Object.entries(dims)
    .map(([name, size]) => `${name}=${size}`)
    .join(", ") || "fixed sizes";

function render({ runs, skipped }: VerifyReport): string {
  const tables = runs.map(({ dims, frozen, stages }) => {
    const rows = stages.map(({ stage, maxAbsError, maxRelError, maxUlpError, equal }) => [
      stage,
      showError(maxAbsError),
      showError(maxRelError),
      showUlps(maxUlpError),
      equal ? pc.green("yes") : pc.red("NO"),
    ]);
    return `${showSizes(dims)}${frozen ? ", frozen" : ""}\n${renderTable(["after", "max error", "relative", "ulp", "equal"], rows)}`;
  });
  const left =
    skipped.length > 0
      ? [`${skipped.length} larger sizes left out: the reference would take too long, or the model ends before them\n`]
      : [];
  return [...tables, ...left].join("\n");
}

const showUlps = (ulps: number): string => (ulps < 1e4 ? String(Number(ulps.toPrecision(2))) : ulps.toExponential(1));
