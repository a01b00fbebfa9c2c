import { existsSync } from "node:fs";
import { basename, extname, resolve } from "node:path";
import type { Command } from "commander";
import { type ImportedModel, importFile } from "../backends/onnx/import/import.ts";
import { targetFolder, writeFiles } from "../backends/onnx/write-files.ts";
import { safetensorsBytes } from "../backends/weights/safetensors-write.ts";
import { memoryStore } from "../backends/weights/store.ts";
import { checkAgainst } from "../check.ts";
import { compile } from "../compile.ts";
import { loadModel } from "../dsl/load.ts";
import { fail, QkvError } from "../ir/diagnostics.ts";
import { show } from "../ir/dim.ts";
import { type Recovered, recover } from "../recover.ts";
import { withTemporaryFile } from "../temporary-file.ts";
import { printJson, printReport, printWarnings } from "./common.ts";
import { required } from "./options.ts";
import { showBytes } from "./table.ts";

interface Flags {
  readonly output?: string;
  readonly force?: boolean;
  readonly check: boolean;
  readonly json?: boolean;
}

export function addImport(program: Command): void {
  program
    .command("import")
    .argument("<model>", "an ONNX file")
    .summary("write an ONNX file as a model in TypeScript")
    .description(
      "Reads an ONNX file, finds its attention, norms and layers, and writes what it computes as a declaration, its weights beside it.",
    )
    .option("-o, --output <file>", "the TypeScript file to write; weights go to .safetensors beside it")
    .option("--force", "write over files that are there")
    .option("--no-check", "write the files without running the model beside the ONNX file")
    .option("--json", "print what was done as JSON")
    .addHelpText(
      "after",
      `
Examples:
  qkv import exported.onnx -o model.ts
  qkv compile model.ts --weights model.safetensors -o again.onnx`,
    )
    .action(run);
}

async function run(path: string, flags: Flags): Promise<void> {
  const files = outputFiles(flags);
  if (extname(path) !== ".onnx") fail("QKV501", `${path} is no ONNX file`, { help: "give a file ending in .onnx" });
  const model = importFile(path);
  const name = basename(path, extname(path));
  const recovered = await recover(model, name, `Imported from ${basename(path)}.`);
  const checked = flags.check && (await check(path, model, recovered));
  const weights = safetensorsBytes(files.weights, recovered.tensors);
  const byteLength = weights.reduce((total, { byteLength: bytes }) => total + bytes, 0);
  writeFiles(targetFolder(files.source, undefined), [
    { name: basename(files.weights), pieces: pieces(weights) },
    { name: basename(files.source), pieces: pieces([Buffer.from(recovered.source)]) },
  ]);
  printWarnings([...model.warnings, ...assumptions(model)]);
  const written = [files.source, files.weights].map((file) => resolve(file));
  if (flags.json)
    return printJson({
      model: name,
      files: written,
      bytes: byteLength,
      checked,
      equal: model.equal.map(equality),
      opaque: model.opaque,
    });
  printReport(`${written.join("\n")}\n${recovered.tensors.size} tensors, ${showBytes(byteLength)}\n`);
}

/** Where source and weights go. Throws QKV501 where the name is not one of a model, or files are there. */
function outputFiles({ output: given, force }: Flags): { readonly source: string; readonly weights: string } {
  const output = required("-o, --output <file>", given);
  const extension = extname(output);
  if (extension !== ".ts" && extension !== ".mts")
    fail("QKV501", `--output ${output} is no TypeScript file`, { help: "name it model.ts" });
  const weights = `${output.slice(0, -extension.length)}.safetensors`;
  const present = [output, weights].find(existsSync);
  if (present !== undefined && !force)
    fail("QKV501", `${present} is there already`, { help: "choose another name, or write over it with --force" });
  return { source: output, weights };
}

/** Builds the source and runs it beside the file. Throws QKV506 where outputs differ. */
function check(path: string, model: ImportedModel, { source, tensors }: Recovered): Promise<boolean> {
  return withTemporaryFile("model.ts", source, async (file) => {
    const built = await loadModel(file)
      .then((made) => made.build())
      .catch(unplaced);
    const weights = memoryStore(tensors);
    const declared = await compile(model, { naive: true });
    const warn = (message: string) => printWarnings([message]);
    return checkAgainst(declared, await compile(built, { naive: true, weights }), { file: path, warn });
  });
}

/** The file with the mistake is gone when it is told, and was never the user's. */
function unplaced(error: unknown): never {
  if (!(error instanceof QkvError)) throw error;
  const { notes, help } = error.details;
  throw new QkvError(error.code, `the model in TypeScript cannot be built: ${error.message}`, {
    ...(notes && { notes }),
    ...(help !== undefined && { help }),
  });
}

const equality = ({ name, dim }: ImportedModel["equal"][number]): string => `${name} = ${show(dim)}`;

/** What holds of the source and was not said by the file. */
const assumptions = (model: ImportedModel): readonly string[] =>
  model.equal.map((one) => `the model runs only where ${equality(one)}`);

/** Bytes one behind the other. */
function pieces(parts: readonly Uint8Array[]) {
  let offset = 0;
  return parts.map((bytes) => {
    const piece = { offset, bytes };
    offset += bytes.byteLength;
    return piece;
  });
}
