import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readModel } from "../../src/backends/onnx/decode.ts";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import { memoryStore } from "../../src/backends/weights/store.ts";
import { checkAgainst } from "../../src/check.ts";
import { compile } from "../../src/compile.ts";
import { checkTypes } from "../../src/dsl/check-types.ts";
import { loadModel } from "../../src/dsl/load.ts";
import { isModel } from "../../src/dsl/model.ts";
import { sameGraph } from "../../src/ir/equal.ts";
import { recover } from "../../src/recover.ts";
import { withTemporaryFile } from "../../src/temporary-file.ts";
import { normalForm } from "../backends/typescript/support/normal-form.ts";
import { rebuild } from "../backends/typescript/support/rebuild.ts";
import { sharedFixtures } from "../import/support.ts";
import { fetchPublished, type Published } from "./published.ts";
import { packages } from "./published-models.ts";

const models = fileURLToPath(new URL("../../models/", import.meta.url));
const declared = ["", "variants/"].flatMap((folder) =>
  readdirSync(models + folder)
    .filter((name) => name.endsWith(".ts"))
    .map((name) => folder + name),
);

describe("every declared model comes back, node for node", () => {
  test.each(declared)("%s", async (file) => {
    const { default: model } = (await import(models + file)) as { default?: unknown };
    if (!isModel(model)) return;
    const before = model.build();
    const { built, tensors } = await rebuild(before);
    expect(sameGraph(normalForm(before.graph), normalForm(built.graph, tensors))).toBe(true);
  });
});

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Source of a model that was a file, which gives equal outputs, type-checks and is laid out as the formatter does. */
async function expectEqual(file: string, name: string): Promise<string> {
  const model = importModel(readModel(file));
  const { source, tensors } = await recover(model, name, `Imported from ${name}.`);
  await withTemporaryFile("model.ts", source, async (path) => {
    const again = await compile((await loadModel(path)).build(), { naive: true, weights: memoryStore(tensors) });
    const naive = await compile(model, { naive: true });
    expect(await checkAgainst(naive, again, { file, limits: { flops: Infinity, bytes: Infinity } })).toBe(true);
    expect(await checkTypes(path)).toEqual([]);
    const biome = ["check", "--error-on-warnings", `--config-path=${root}`, "--vcs-enabled=false", path];
    execFileSync(process.execPath, [`${root}node_modules/@biomejs/biome/bin/biome`, ...biome], { stdio: "pipe" });
  });
  return source;
}

const folder = sharedFixtures("exports");
const exported = folder ? readdirSync(folder).filter((name) => name.endsWith(".onnx")) : [];

describe.skipIf(!folder)(
  "exported models as source give the outputs of their files (needs the shared fixtures)",
  () => {
    test.each(exported)("%s", async (name) => void (await expectEqual(`${folder}/${name}`, name)));
  },
);

/** Models others published, and what their source says. */
const published: readonly (Published & { readonly says: readonly string[] })[] = [
  {
    ...packages.miniLm,
    file: "dist/Xenova/all-MiniLM-L6-v2/onnx/model.onnx",
    says: [
      "layers: 6, d: 384, heads: 12, ffn: 1536, vocab: 30522, epsilon: 1e-12",
      'heads(linear(x, d, { name: "attention.self.query" }), settings.heads)',
    ],
  },
  {
    ...packages.miniLm8Bits,
    file: "models/Xenova/all-MiniLM-L6-v2/onnx/model_quantized.onnx",
    says: ["scope(`encoder.layer.", 'param("attention.self.query.weight_quantized", [384, 384], { dtype: "i8" })'],
  },
  {
    ...packages.miniMind,
    file: "onnx/model_quantized.onnx",
    says: ["layers: 8, heads: 8, kvHeads: 2", "rope(", 'param("self_attn.q_proj.weight_scale", [])'],
  },
  {
    ...packages.whisper,
    file: "models/Xenova/whisper-tiny/onnx/encoder_model_quantized.onnx",
    says: ["for (let i = 0;"],
  },
  { ...packages.whisper, file: "models/Xenova/whisper-tiny/onnx/decoder_model_merged_quantized.onnx", says: ["cond("] },
  { ...packages.moonshine, file: "dist/model/tiny/quantized/encoder_model.onnx", says: ["attention("] },
  { ...packages.moonshine, file: "dist/model/tiny/quantized/decoder_model_merged.onnx", says: ["cond(", "attention("] },
];

describe.each(published)("$name $file", ({ says, ...from }) => {
  const fetched = fetchPublished(from);
  const reason = "reason" in fetched ? ` (${fetched.reason})` : "";
  test.skipIf(reason)(`as source gives the outputs of its file, in loops and by its names${reason}`, async () => {
    const source = await expectEqual((fetched as { readonly path: string }).path, from.name);
    for (const words of says) expect(source).toContain(words);
  });
});
