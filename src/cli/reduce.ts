import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Command, Option } from "commander";
import type { OptimizationLevel } from "../backends/ort/session.ts";
import { readTensors } from "../backends/ort/tensor-files.ts";
import { type CompileOptions, compile, type Declared } from "../compile.ts";
import { randomFeeds } from "../feeds.ts";
import { fail } from "../ir/diagnostics.ts";
import { type Check, reduceCase } from "../reduce.ts";
import { endingLike, firing, ofPass, ofRuntime } from "../reduce-checks.ts";
import { fileOptions, writeCase, writeFolder } from "../reduce-folder.ts";
import { type Case, operationsOf } from "../reduce-steps.ts";
import { referenceFor } from "../reference.ts";
import { investigate } from "../verify.ts";
import { sizesToTry } from "../verify-sizes.ts";
import { dimsOf, type ModelFlags, openModel, printReport, withModelFlags } from "./common.ts";
import { required } from "./options.ts";
import { progress } from "./progress.ts";
import { checkRuleName } from "./rule-names.ts";

interface Flags extends ModelFlags {
  readonly output?: string;
  readonly inputs?: string;
  readonly stage?: string;
  readonly fires?: string;
  readonly check?: string;
}

export function addReduce(program: Command): void {
  withModelFlags(program.command("reduce"))
    .summary("make a failing graph as small as it still fails")
    .description(
      "Finds a small graph that still shows what verify finds: outputs are dropped, values become inputs, operations are left out, sizes shrink. Ctrl-C keeps the smallest so far.",
    )
    .option("-o, --output <folder>", "the folder to make: graph.ir, its inputs and weights, and a README.md")
    .option("--inputs <file>", "inputs by name, .safetensors or .json, instead of seeded ones")
    .option("--stage <name>", "the stage of verify that fails, as reassociate or 'ONNX Runtime, all'; else the first")
    .addOption(new Option("--fires <rule>", "instead: the smallest graph in which a rule fires").conflicts("stage"))
    .addOption(
      new Option(
        "--check <command>",
        "instead: the smallest graph for which a command, run in a folder like the one made, does not exit with 0",
      ).conflicts(["stage", "fires"]),
    )
    .addHelpText(
      "after",
      `
Examples:
  qkv reduce failing.onnx -o repro
  qkv reduce models/encoder.ts --fires skip-layer-norm -o repro
  qkv reduce failing.onnx --check "qkv run graph.ir --inputs inputs.safetensors" -o repro`,
    )
    .action(run);
}

/** What is to be made smaller, how it is judged, and what is said of it. */
interface Task {
  readonly first: Case;
  readonly check: Check;
  readonly shows: string;
  /** A command that shows it again, run in the folder. */
  readonly command: (one: Case) => string;
}

async function run(path: string, flags: Flags): Promise<void> {
  const output = required("-o, --output <folder>", flags.output);
  if (existsSync(output)) fail("QKV507", `cannot write ${output}: it exists already`);
  const { declared, options } = await openModel(path, flags);
  const line = progress();
  const stop = new AbortController();
  const interrupted = () => stop.abort();
  process.once("SIGINT", interrupted);
  try {
    line.update("looking for what fails");
    const task = await taskOf(declared, { ...options, dims: dimsOf(flags, declared) }, flags);
    const before = operationsOf(task.first).length;
    const smallest = await reduceCase(task.first, task.check, {
      signal: stop.signal,
      onProgress: (operations, tried) =>
        line.update(`${operations} of ${before} operations; ${tried} candidates tried`),
    });
    const operations = `${before} operations became ${operationsOf(smallest).length}`;
    writeFolder(output, smallest, readmeOf(task, smallest, operations));
    line.done();
    printReport(`${operations}\n${task.shows}\ncd ${output} && ${task.command(smallest)}\n`);
  } finally {
    line.done();
    process.removeListener("SIGINT", interrupted);
  }
}

const readmeOf = ({ shows, command }: Task, one: Case, operations: string): string =>
  `# ${one.graph.name}, reduced\n\n${shows}; ${operations}. To see it, run in this folder:\n\n    ${command(one)}\n`;

const nothing = (message: string, help: string): never => fail("QKV512", `nothing to reduce: ${message}`, { help });

async function taskOf(declared: Declared, options: CompileOptions, flags: Flags): Promise<Task> {
  const feeds = flags.inputs === undefined ? undefined : readTensors(flags.inputs);
  if (flags.fires !== undefined || flags.check !== undefined) {
    const compiled = await compile(declared, options);
    const { graph, arena } = { graph: compiled.declared, arena: declared.arena };
    const seeded = () => randomFeeds(graph, sizesToTry(graph).at(-1)!, options.seed ?? 0);
    const first: Case = { graph, arena, weights: compiled.weights, feeds: feeds ?? seeded() };
    if (flags.fires === undefined) return byCommand(flags.check!, first);
    checkRuleName(flags.fires, compiled.steps);
    return byRule(flags.fires, first, withoutDims(options), flags);
  }
  return byStage(declared, { ...options, ...(feeds && { feeds }) }, flags);
}

/** Sizes of a case are those of its own inputs. */
const withoutDims = ({ dims: _dims, ...options }: CompileOptions): CompileOptions => options;

async function byStage(
  declared: Declared,
  options: Parameters<typeof investigate>[1] & object,
  flags: Flags,
): Promise<Task> {
  const { report, evidence } = await investigate(declared, { ...options, ...(flags.stage && { stage: flags.stage }) });
  if (!report.guilty || !evidence)
    return nothing("every stage of verify gives equal outputs", "qkv verify shows what was tried");
  const { watched, trial, step } = evidence;
  const { stage } = report.guilty;
  const { arena } = declared;
  const reference = referenceFor(watched.declared, arena);
  const start = { arena, feeds: trial.feeds, weights: watched.weights };
  if (step) {
    const first = { ...start, graph: step.before };
    const check = await endingLike(first, ofPass(step, reference));
    return { first, check, shows: `The pass ${stage} changes results`, command: verifies(flags, step.pass.name) };
  }
  const first = { ...start, graph: watched.declared };
  const level = stage.split(", ")[1] as OptimizationLevel;
  const check = await endingLike(first, ofRuntime(level, withoutDims(options), reference));
  return { first, check, shows: `${stage} gives other results`, command: verifies(flags, flags.passes) };
}

async function byRule(rule: string, first: Case, options: CompileOptions, flags: Flags): Promise<Task> {
  const check = firing(rule, options);
  if (!(await check(first)))
    return nothing(`the rule ${rule} does not fire`, "qkv explain tells which rules do, and why not");
  const command = () => `qkv explain graph.ir ${rule}${compiledWith(flags, flags.passes)}`;
  return { first, check, shows: `The rule ${rule} fires`, command };
}

async function byCommand(command: string, first: Case): Promise<Task> {
  const check: Check = async (one) => (await exitOf(command, one)) !== 0;
  if (!(await check(first)))
    return nothing(`\`${command}\` exits with 0`, "give a command that fails for the whole graph");
  return { first, check, shows: `\`${command}\` does not exit with 0`, command: () => command };
}

/** Runs a command in a folder that holds the case. */
async function exitOf(command: string, one: Case): Promise<number | null> {
  const folder = mkdtempSync(join(tmpdir(), "qkv-reduce-"));
  try {
    writeCase(folder, one);
    const child = spawn(command, { cwd: folder, shell: true, stdio: "ignore" });
    return await new Promise((done, failed) => child.on("exit", done).on("error", failed));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const verifies = (flags: Flags, passes: string | undefined) => (one: Case) =>
  `qkv verify graph.ir ${fileOptions(one)}${compiledWith(flags, passes)}`;

/** The options a command needs to compile as this one did. */
function compiledWith({ target, opset, naive, dispatch }: Flags, passes: string | undefined): string {
  return [
    target === undefined || target === "ort-cpu" ? "" : ` --target ${target}`,
    opset === undefined ? "" : ` --opset ${opset}`,
    naive ? " --naive" : "",
    dispatch ? " --dispatch" : "",
    passes === undefined ? "" : ` --passes ${passes}`,
  ].join("");
}
