import { type Command, Option } from "commander";
import { nodePlacement, strayNodes } from "../backends/ort/placement.ts";
import { requireProvider } from "../backends/ort/providers.ts";
import { openSession } from "../backends/ort/session.ts";
import { formatTensors, readTensors, writeTensors } from "../backends/ort/tensor-files.ts";
import { compile } from "../compile.ts";
import { completeDims, randomFeeds } from "../feeds.ts";
import { checkLengths, checkRunnable, modelBytes } from "../session.ts";
import { dimsOf, type ModelFlags, openModel, printWarnings, withModelFlags } from "./common.ts";
import { parseNatural } from "./options.ts";

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

Examples:
  qkv run models/self-attention.ts --dims n=5
  qkv run models/encoder.ts --inputs ids.json --outputs hidden.safetensors`,
    )
    .action(run);
}

async function run(path: string, flags: Flags): Promise<void> {
  const ep = await requireProvider(flags.ep);
  const given = flags.inputs === undefined ? undefined : readTensors(flags.inputs);
  const { declared, options } = await openModel(path, flags, given && new Set(given.keys()));
  const dims = dimsOf(flags);
  const compiled = await compile(declared, { ...options, dims });
  // Dims given are frozen by now.
  const feeds = given ?? randomFeeds(compiled.declared, completeDims(compiled.declared, new Map()), options.seed ?? 0);
  const bytes = modelBytes(compiled.onnx());
  printWarnings(compiled.warnings());
  const threads = flags.threads === undefined ? {} : { threads: parseNatural("--threads", flags.threads) };
  checkLengths(compiled, feeds);
  checkRunnable(compiled.onnx(), feeds);
  const session = await openSession(bytes, { ep, ...threads });
  try {
    const outputs = await session.run(feeds);
    if (flags.outputs !== undefined) writeTensors(flags.outputs, outputs);
    else process.stdout.write(formatTensors(outputs));
  } finally {
    await session.close();
  }
  if (ep !== "cpu") await reportPlacement(bytes, ep, feeds);
}

/** Providers leave nodes they lack to the CPU without a word; say so. */
async function reportPlacement(bytes: Uint8Array, ep: "webgpu" | "cuda", feeds: ReturnType<typeof randomFeeds>) {
  const placement = await nodePlacement(bytes, { ep, feeds });
  const expected = ep === "webgpu" ? "WebGpuExecutionProvider" : "CUDAExecutionProvider";
  const stray = strayNodes(placement, expected);
  if (stray.length === 0) return;
  const ops = [...new Set(stray.map(({ opType }) => opType))].join(", ");
  process.stderr.write(`warning: ${stray.length} of ${placement.nodes.length} nodes did not run on ${ep}: ${ops}\n`);
}
