import { beforeAll, describe, expect, test } from "vitest";
import type { HostTensor } from "../src/ir/tensor.ts";
import { compileMiniLm, cosine, largestDifference, rowsOf, runModel, tokens } from "./support/minilm.ts";

const sentences = ["cat", "kitten", "stock market", "The shares fell on Monday.", "A cat sleeps in the warm sun."];

describe("MiniLM with its trained weights", () => {
  let naive: ReadonlyMap<string, HostTensor>;
  let optimised: ReadonlyMap<string, HostTensor>;

  beforeAll(async () => {
    const feeds = tokens(sentences);
    naive = await runModel(await compileMiniLm(true, feeds), feeds);
    optimised = await runModel(await compileMiniLm(false, feeds), feeds);
  }, 120_000);

  test("optimised gives what naive gives", () => {
    for (const [name, expected] of naive) expect(largestDifference(optimised.get(name)!, expected)).toBeLessThan(1e-4);
  });

  test("embeddings have length 1", () => {
    for (const row of rowsOf(optimised.get("sentence_embedding")!)) expect(Math.hypot(...row)).toBeCloseTo(1, 5);
  });

  test("knows what is alike", () => {
    const [cat, kitten, market, shares, sleeping] = rowsOf(optimised.get("sentence_embedding")!);
    expect(cosine(cat!, kitten!)).toBeGreaterThan(0.7);
    expect(cosine(cat!, kitten!)).toBeGreaterThan(cosine(cat!, market!) + 0.3);
    expect(cosine(market!, shares!)).toBeGreaterThan(cosine(market!, kitten!));
    expect(cosine(cat!, sleeping!)).toBeGreaterThan(cosine(cat!, shares!));
  });
});
