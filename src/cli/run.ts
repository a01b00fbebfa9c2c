import { type Command, Option } from "commander";
import { nodePlacement, strayNodes } from "../backends/ort/placement.ts";
import { requireProvider } from "../backends/ort/providers.ts";
import { openSession } from "../backends/ort/session.ts";
import { formatTensors, readTensors, writeTensors } from "../backends/ort/tensor-files.ts";
import { type Compiled, compile } from "../compile.ts";
import { completeDims, randomFeeds } from "../feeds.ts";
import { attrsOf } from "../ir/arena.ts";
import type { HostTensor } from "../ir/tensor.ts";
import { checkLengths, checkRunnable, modelBytes } from "../session.ts";
import { type Case, casesOf, inputNames } from "./cases.ts";
import { dimsOf, type ModelFlags, openModel, printWarnings, withModelFlags } from "./common.ts";
import { parseNatural } from "./options.ts";

type Feeds = ReadonlyMap<string, HostTensor>;

interface Flags extends ModelFlags {
  readonly inputs?: string;
  readonly outputs?: string;
  readonly ep: string;
  readonly threads?: string;
}

export function addRun(program: Command): void {
  withModelFlags(program.command("run"))
    .summary("run a model in ONNX Runtime")
    .description("Compiles a model and runs it once, on given inputs or random ones.")
    .option("--inputs <file>", "inputs by name, .safetensors or .json; without it random ones")
    .option("--outputs <file>", "where to write the outputs, .safetensors or .json; as JSON to stdout where left out")
    .addOption(new Option("--ep <name>", "execution provider").default("cpu").choices(["cpu", "webgpu", "cuda"]))
    .option("--threads <n>", "threads inside one operator")
    .addHelpText(
      "after",
      `
Inputs and outputs as JSON: { "x": { "dtype": "f32", "dims": [2, 3], "data": [1, 2, 3, 4, 5, 6] } }
A file with the inputs of several runs names them <case>.<input>; outputs are <case>.<output> then.

Examples:
  qkv run models/self-attention.ts --dims seq=5
  qkv run models/encoder.ts --inputs ids.json --outputs hidden.safetensors`,
    )
    .action(run);
}

/** A compiled model and the runs it is for: optional inputs make another graph of it. */
interface Batch {
  readonly compiled: Compiled;
  readonly cases: readonly Case[];
}

async function run(path: string, flags: Flags): Promise<void> {
  const ep = await requireProvider(flags.ep);
  const given = flags.inputs === undefined ? undefined : readTensors(flags.inputs);
  const threads = flags.threads === undefined ? {} : { threads: parseNatural("--threads", flags.threads) };
  const batches = await batchesOf(path, flags, given);
  for (const { compiled, cases } of batches)
    for (const { inputs } of cases) {
      checkLengths(compiled, inputs);
      checkRunnable(compiled.onnx(), inputs);
    }
  const outputs = new Map<string, HostTensor>();
  for (const { compiled, cases } of batches) {
    const bytes = modelBytes(compiled.onnx());
    const session = await openSession(bytes, { ep, ...threads });
    try {
      for (const { name, inputs } of cases)
        for (const [output, tensor] of await session.run(inputs))
          outputs.set(name === undefined ? output : `${name}.${output}`, tensor);
    } finally {
      await session.close();
    }
    if (ep !== "cpu") await reportPlacement(bytes, ep, cases[0]!.inputs);
  }
  printWarnings(batches[0]!.compiled.warnings());
  if (flags.outputs !== undefined) writeTensors(flags.outputs, outputs);
  else process.stdout.write(formatTensors(outputs));
}

async function compileFor(path: string, flags: Flags, inputs?: ReadonlySet<string>): Promise<Compiled> {
  const { declared, options } = await openModel(path, flags, inputs);
  return compile(declared, { ...options, ep: await requireProvider(flags.ep), dims: dimsOf(flags, declared) });
}

/**
 * What there is to run: the cases, those with the same inputs together, each with the optional inputs it has. Cases that
 * lack an input the model needs are left out with a warning; where none is left, the run of the whole file says why.
 */
async function batchesOf(path: string, flags: Flags, given: Feeds | undefined): Promise<readonly Batch[]> {
  const first = await compileFor(path, flags, given && inputNames(given));
  if (!given) return [{ compiled: first, cases: [{ name: undefined, inputs: random(first, flags) }] }];
  const wanted = inputsOf(first);
  const alike = new Map<string, Case[]>();
  for (const one of casesOf(given, wanted)) {
    const key = JSON.stringify(wanted.filter((name) => one.inputs.has(name)));
    alike.set(key, [...(alike.get(key) ?? []), one]);
  }
  const batches: Batch[] = [];
  const leftOut: string[] = [];
  for (const cases of alike.values()) {
    const names = new Set(cases[0]!.inputs.keys());
    const complete = wanted.every((name) => names.has(name));
    const compiled = complete ? first : await compileFor(path, { ...flags, types: false }, names);
    const missing = inputsOf(compiled).filter((name) => !names.has(name));
    if (missing.length === 0) batches.push({ compiled, cases });
    else leftOut.push(...cases.map(({ name }) => `the case "${name}" lacks ${missing.join(", ")}: left out`));
  }
  if (batches.length === 0) return [{ compiled: first, cases: [{ name: undefined, inputs: given }] }];
  printWarnings(leftOut);
  return batches;
}

const inputsOf = ({ declared }: Compiled): readonly string[] =>
  declared.inputs.map(({ node }) => attrsOf(node, "input").name);

/** Random inputs; dims given are frozen by now. */
const random = ({ declared }: Compiled, { seed }: Flags): Feeds =>
  randomFeeds(declared, completeDims(declared, new Map()), seed === undefined ? 0 : parseNatural("--seed", seed));

/** Providers leave nodes they lack to the CPU without a word; say so. */
async function reportPlacement(bytes: Uint8Array, ep: "webgpu" | "cuda", feeds: Feeds) {
  const placement = await nodePlacement(bytes, { ep, feeds });
  const expected = ep === "webgpu" ? "WebGpuExecutionProvider" : "CUDAExecutionProvider";
  const stray = strayNodes(placement, expected);
  if (stray.length === 0) return;
  const ops = [...new Set(stray.map(({ opType }) => opType))].join(", ");
  process.stderr.write(`warning: ${stray.length} of ${placement.nodes.length} nodes did not run on ${ep}: ${ops}\n`);
}
