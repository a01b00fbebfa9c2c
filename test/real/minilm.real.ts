import { describe, expect, test } from "vitest";
import type { HostTensor } from "../../src/ir/tensor.ts";
import { compileMiniLm, cosine, largestDifference, rowsOf, runModel, tokens } from "../support/minilm.ts";
import { fetchPublished } from "./published.ts";
import { publishedMiniLm } from "./published-models.ts";

const sentences = [
  "A cat sleeps on the windowsill.",
  "The kitten is napping in the sun.",
  "Stock markets fell sharply on Monday.",
  "How do I bake sourdough bread at home?",
  "The mitochondrion is the powerhouse of the cell.",
  "She sells sea shells by the sea shore.",
  "E = mc² relates mass and energy.",
  "Der schnelle braune Fuchs springt über den faulen Hund.",
  "東京は日本の首都です。",
  "def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)",
  "",
  "?",
  "ok",
  "THIS SENTENCE IS WRITTEN IN CAPITAL LETTERS!!!",
  "The quick brown fox jumps over the lazy dog. ".repeat(20).trim(),
  "Please refund order #48213, it arrived broken on 3 May.",
  "Attention is all you need.",
  "Two roads diverged in a yellow wood, and sorry I could not travel both and be one traveler.",
  "antidisestablishmentarianism floccinaucinihilipilification",
  "The patient presented with dyspnoea, tachycardia and a temperature of 39.4 °C.",
  "I don't like it. I love it!",
];

const published = fetchPublished(publishedMiniLm);

/** The published model ends before pooling: the mean over real tokens, whose length the cosine does not see. */
function pooled(hidden: HostTensor, mask: HostTensor): readonly Float64Array[] {
  const [batch, seq, width] = hidden.dims as [number, number, number];
  return Array.from({ length: batch }, (_, b) => {
    const sum = new Float64Array(width);
    for (let s = 0; s < seq; s++)
      if (Number(mask.data[b * seq + s]) !== 0)
        for (let d = 0; d < width; d++) sum[d]! += Number(hidden.data[(b * seq + s) * width + d]);
    return sum;
  });
}

describe.skipIf("reason" in published)(`MiniLM${"reason" in published ? ` (${published.reason})` : ""}`, () => {
  const { path } = published as { readonly path: string };

  test.each([
    ["all in one padded batch", [sentences]],
    ["one by one", sentences.map((sentence) => [sentence])],
  ] as const)("embeds as the published float32 model does: %s", async (_, batches) => {
    const first = tokens(batches[0]!);
    const [naive, optimised] = [await compileMiniLm(true, first), await compileMiniLm(false, first)];
    for (const batch of batches) {
      const feeds = tokens(batch);
      const expected = pooled((await runModel(path, feeds)).get("last_hidden_state")!, feeds.get("attention_mask")!);
      const [plain, fast] = [await runModel(naive, feeds), await runModel(optimised, feeds)];
      for (const outputs of [plain, fast])
        for (const [i, embedding] of rowsOf(outputs.get("sentence_embedding")!).entries())
          expect({ sentence: batch[i], cosine: cosine(embedding, expected[i]!) }).toEqual({
            sentence: batch[i],
            cosine: expect.toSatisfy((value: number) => value >= 0.999),
          });
      expect(largestDifference(plain.get("sentence_embedding")!, fast.get("sentence_embedding")!)).toBeLessThan(1e-4);
      expect(largestDifference(plain.get("last_hidden_state")!, fast.get("last_hidden_state")!)).toBeLessThan(1e-4);
    }
  });
});
