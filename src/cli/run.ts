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
    .option("--inputs <file>", "inputs by name, .safetensors or .json; random ones where left out")
    .option("--outputs <file>", "where to write the outputs, .safetensors or .json; as JSON to stdout where left out")
    .addOption(new Option("--ep <name>", "execution provider").default("cpu").choices(["cpu", "webgpu", "cuda"]))
    .option("--threads <n>", "threads inside one operator")
    .addHelpText(
      "after",
      `
Inputs and outputs as JSON: { "x": { "dtype": "f32", "dims": [2, 3], "data": [1, 2, 3, 4, 5, 6] } }
A file with the inputs of several runs names them <case>.<input>; outputs are <case>.<output> then.

Examples:
  qkv run models/self-attention.ts --dims n=5
  qkv run models/encoder.ts --inputs ids.json --outputs hidden.safetensors`,
    )
    .action(run);
}

async function run(path: string, flags: Flags): Promise<void> {
  const ep = await requireProvider(flags.ep);
  const given = flags.inputs === undefined ? undefined : readTensors(flags.inputs);
  const { declared, options } = await openModel(path, flags, given && inputNames(given));
  const compiled = await compile(declared, { ...options, dims: dimsOf(flags) });
  const cases = given ? complete(given, compiled) : [{ name: undefined, inputs: random(compiled, options.seed) }];
  const bytes = modelBytes(compiled.onnx());
  printWarnings(compiled.warnings());
  const threads = flags.threads === undefined ? {} : { threads: parseNatural("--threads", flags.threads) };
  for (const { inputs } of cases) {
    checkLengths(compiled, inputs);
    checkRunnable(compiled.onnx(), inputs);
  }
  const outputs = new Map<string, HostTensor>();
  const session = await openSession(bytes, { ep, ...threads });
  try {
    for (const { name, inputs } of cases)
      for (const [output, tensor] of await session.run(inputs))
        outputs.set(name === undefined ? output : `${name}.${output}`, tensor);
  } finally {
    await session.close();
  }
  if (flags.outputs !== undefined) writeTensors(flags.outputs, outputs);
  else process.stdout.write(formatTensors(outputs));
  if (ep !== "cpu") await reportPlacement(bytes, ep, cases[0]!.inputs);
}

/** The cases of a file; those that lack an input of the model are left out with a warning. */
function complete(given: Feeds, { declared }: Compiled): readonly Case[] {
  const names = declared.inputs.map(({ node }) => attrsOf(node, "input").name);
  const { cases, incomplete } = casesOf(given, names);
  printWarnings(incomplete.map(({ name, missing }) => `the case "${name}" lacks ${missing.join(", ")}: left out`));
  return cases;
}

/** Random inputs; dims given are frozen by now. */
const random = ({ declared }: Compiled, seed = 0): Feeds =>
  randomFeeds(declared, completeDims(declared, new Map()), seed);

/** Providers leave nodes they lack to the CPU without a word; say so. */
async function reportPlacement(bytes: Uint8Array, ep: "webgpu" | "cuda", feeds: Feeds) {
  const placement = await nodePlacement(bytes, { ep, feeds });
  const expected = ep === "webgpu" ? "WebGpuExecutionProvider" : "CUDAExecutionProvider";
  const stray = strayNodes(placement, expected);
  if (stray.length === 0) return;
  const ops = [...new Set(stray.map(({ opType }) => opType))].join(", ");
  process.stderr.write(`warning: ${stray.length} of ${placement.nodes.length} nodes did not run on ${ep}: ${ops}\n`);
}
