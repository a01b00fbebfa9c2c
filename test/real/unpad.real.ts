import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readModel } from "../../src/backends/onnx/decode.ts";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import { compile } from "../../src/compile.ts";
import { sharedFixtures } from "../import/support.ts";
import { tokens } from "../support/minilm.ts";
import { expectRealPositions, paddedBatches, paddedFeeds, withUnpadAlways } from "../support/padding.ts";
import { fetchPublished } from "./published.ts";
import { publishedMiniLm } from "./published-models.ts";

const folder = sharedFixtures("exports");

test.skipIf(!folder).each(["bert-eager-dynamo", "bert-eager-torchscript", "bert-sdpa-dynamo", "bert-sdpa-torchscript"])(
  "%s on real tokens only (needs the shared fixtures)",
  async (name) => {
    const file = join(folder!, `${name}.onnx`);
    const compiled = await compile(importModel(readModel(file)), { unpad: "attention_mask", passes: withUnpadAlways });
    for (const masks of paddedBatches)
      await expectRealPositions(file, compiled, paddedFeeds(["input_ids", "attention_mask"], masks));
  },
);

const published = fetchPublished(publishedMiniLm);

describe.skipIf("reason" in published)(`MiniLM${"reason" in published ? ` (${published.reason})` : ""}`, () => {
  const { path } = published as { readonly path: string };

  test.each(["ort-cpu", "onnx"])("gives the file's outputs at real positions, for %s", async (target) => {
    const compiled = await compile(importModel(readModel(path)), { unpad: "attention_mask", target });
    expect(compiled.steps.some(({ tally }) => tally.fired.has("unpad"))).toBe(true);
    const names = ["input_ids", "attention_mask", "token_type_ids"];
    for (const masks of paddedBatches) await expectRealPositions(path, compiled, paddedFeeds(names, masks));
    const sentences = ["ok", "", "A cat sleeps on the windowsill.", "Attention is all you need. ".repeat(8).trim()];
    await expectRealPositions(path, compiled, tokens(sentences));
  });
});
