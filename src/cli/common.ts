import { setTimeout } from "node:timers/promises";
import { type Command, Option } from "commander";
import { importFile } from "../backends/onnx/import/import.ts";
import { openCheckpoint } from "../backends/weights/checkpoint.ts";
import { buildFor, type CompileOptions, type Declared } from "../compile.ts";
import { checkTypesBeside, typeError } from "../dsl/check-types.ts";
import { loadModel } from "../dsl/load.ts";
import type { Model } from "../dsl/model.ts";
import { timeLimit, within } from "../dsl/time-limit.ts";
import { attrsOf } from "../ir/arena.ts";
import { solveDims } from "../ir/bind-dims.ts";
import { fail } from "../ir/diagnostics.ts";
import { isStatic, show, substitute, symbolsOf } from "../ir/dim.ts";
import { jsonText } from "../ir/printable.ts";
import { loadGraph } from "../load-graph.ts";
import { parseDims, parseNatural, parseSettings } from "./options.ts";
import { shown, told } from "./render.ts";

/** Options every command that compiles a model takes, as commander hands them over. */
export interface ModelFlags {
  readonly target?: string;
  readonly opset?: string;
  readonly naive?: boolean;
  readonly dims?: string;
  readonly weights?: string;
  readonly seed?: string;
  readonly passes?: string;
  readonly dispatch?: boolean;
  readonly unpad?: string;
  readonly set?: string;
  readonly with?: string;
  readonly types: boolean;
}

/** Adds the options of `ModelFlags`; `--naive` not to a command that runs both. */
export const withModelFlags = (command: Command, { naive = true } = {}): Command => {
  command
    .argument(
      "<model>",
      "a model file: .ts, .mts, .js or .mjs with a default export made by model(…), or an .onnx or .ir file",
    )
    .addOption(new Option("--target <name>", "what to compile for").default("ort-cpu").choices(["ort-cpu", "onnx"]))
    .option("--opset <n>", "version of the standard operator set, 17 to 26");
  if (naive) command.option("--naive", "the graph as declared, nothing optimised");
  return command
    .option("--dims <list>", "sizes of named dimensions, as batch=1,seq=128")
    .option("--weights <path>", "a safetensors file or a Hugging Face checkpoint folder")
    .option("--seed <n>", "seed of random weights, where none are given")
    .option("--passes <list>", "passes to run instead of the target's, as canonicalise,reassociate")
    .option("--dispatch", "emit both forms behind If where the cheaper one depends on a length")
    .option("--unpad <input>", "the padding mask; outputs are then zero where it is, and padding need not be computed")
    .option("--set <list>", "parameters of the model, as layers=12,window=256")
    .option("--with <list>", "optional inputs to declare, as attention_mask,position_ids")
    .option("--no-types", "do not run the type checker over the model file");
};

/** Loads and builds the model file, and everything its options name. `inputs` are those a run will give, where known. */
export async function openModel(
  path: string,
  flags: ModelFlags,
  inputs?: ReadonlySet<string>,
): Promise<{ declared: Declared; options: CompileOptions }> {
  const opset = flags.opset === undefined ? undefined : parseNatural("--opset", flags.opset);
  if (opset !== undefined && (opset < 17 || opset > 26)) fail("QKV501", `--opset ${opset} is not one of 17 to 26`);
  const weights = flags.weights === undefined ? undefined : openCheckpoint(flags.weights);
  const named = flags.with?.split(",").map((name) => name.trim());
  const given = named ? new Set([...named, ...(inputs ?? [])]) : inputs;
  const options: CompileOptions = {
    ...(flags.target && { target: flags.target }),
    ...(opset !== undefined && { opset }),
    ...(flags.naive && { naive: true }),
    ...(weights && { weights }),
    ...(flags.seed !== undefined && { seed: parseNatural("--seed", flags.seed) }),
    ...(flags.passes !== undefined && { passes: flags.passes.split(",").map((name) => name.trim()) }),
    ...(flags.dispatch && { dispatch: true }),
    ...(flags.unpad !== undefined && { unpad: flags.unpad }),
    ...(flags.set !== undefined && { settings: parseSettings(flags.set) }),
    ...(given && { inputs: given }),
    source: path.split(/[\\/]/).at(-1)!,
  };
  const declared = await openDeclared(path, flags, options);
  checkNamed(declared, named ?? []);
  return { declared, options };
}

/** What the model file declares; an ONNX file is read into the IR, a graph as text parsed. Throws QKV501 for settings of a file that has none. */
async function openDeclared(path: string, flags: ModelFlags, options: CompileOptions): Promise<Declared> {
  if (!/\.(onnx|ir)$/.test(path)) {
    const model = await loadModel(path);
    const declared = await (flags.types ? buildChecked : built)(path, model, options);
    // What the file left to timers and promises goes wrong now or not before something is written.
    await setTimeout(1);
    return declared;
  }
  if (flags.set !== undefined) fail("QKV501", `${path} has no settings`, { help: "leave --set out" });
  if (path.endsWith(".ir")) return loadGraph(path);
  const { warnings, ...declared } = importFile(path);
  printWarnings(warnings);
  return { ...declared, file: path };
}

/** The file a model came from, as an option. */
export const fileOf = ({ file }: Declared): { readonly file?: string } => (file === undefined ? {} : { file });

const built = (path: string, model: Model, options: CompileOptions): Promise<Declared> =>
  within(timeLimit, path, () => buildFor(model, options));

/** Builds a model while the type checker reads its file. What the build says comes first: it names the author's values. */
async function buildChecked(path: string, model: Model, options: CompileOptions): Promise<Declared> {
  const stop = new AbortController();
  const problems = checkTypesBeside(path, stop.signal);
  try {
    const declared = await built(path, model, options);
    const error = typeError(await problems);
    if (error) throw error;
    return declared;
  } finally {
    stop.abort();
  }
}

/** Throws QKV241 where `--with` names what is no input of the model. */
function checkNamed({ graph }: Declared, named: readonly string[]): void {
  const inputs = graph.inputs.map(({ node }) => attrsOf(node, "input").name);
  const unknown = named.find((name) => !inputs.includes(name));
  if (unknown !== undefined)
    fail("QKV241", `--with: @${graph.name} has no input "${unknown}"`, { help: `its inputs are ${inputs.join(", ")}` });
}

/** What `--dims` gives a model. Throws QKV501. */
export const dimsOf = (flags: ModelFlags, declared: Declared): ReadonlyMap<string, number> =>
  ownSizes(parseDims(flags.dims ?? ""), declared);

/**
 * Sizes of the dimensions a model has, where some are given by names of its file that the import took to be others: of
 * `total = past + seq` any two will do. Throws QKV501 where they contradict one another, or leave more than one open.
 */
export function ownSizes(
  given: ReadonlyMap<string, number>,
  { equal = [] }: Pick<Declared, "equal">,
): ReadonlyMap<string, number> {
  const others = equal.flatMap(({ name, dim }) => (given.has(name) ? [{ name, dim, size: given.get(name)! }] : []));
  const own = new Map(given);
  for (const { name } of others) own.delete(name);
  const sizes = solveDims(others, own);
  for (const { name, dim, size } of others) {
    const known = substitute(dim, sizes);
    if (known === size) continue;
    const open = symbolsOf(known);
    const told = `--dims: ${name} = ${show(dim)}`;
    if (open.length > 1) fail("QKV501", `${told} leaves ${open.join(" and ")} open`, { help: `give ${open[1]}, too` });
    fail("QKV501", `${told} cannot be ${size}`, { help: isStatic(known) ? `it is ${known}` : "give another size" });
  }
  return sizes;
}

/** Writes a report for people. */
export const printReport = (text: string): void => void process.stdout.write(shown(text));

/** Writes JSON for scripts: stable key order, one trailing newline. */
export const printJson = (value: unknown): void => void process.stdout.write(`${jsonText(value, 2)}\n`);

/** Warnings go to stderr, so that stdout stays what was asked for. */
export function printWarnings(warnings: readonly string[]): void {
  for (const warning of warnings) process.stderr.write(`warning: ${told(warning)}\n`);
}
