import { describe, expect, test } from "vitest";
import bart from "../../models/bart.ts";
import bert from "../../models/bert.ts";
import marian from "../../models/marian.ts";
import modernbert from "../../models/modernbert.ts";
import t5, { bucket } from "../../models/t5.ts";
import vit from "../../models/vit.ts";
import whisper from "../../models/whisper.ts";
import { randomInputs } from "../../src/backends/ort/inputs.ts";
import { memoryStore } from "../../src/backends/weights/store.ts";
import { compile, paramsOf } from "../../src/compile.ts";
import { randomFeeds } from "../../src/feeds.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../../src/ir/tensor.ts";
import { runModel } from "../../src/session.ts";
import { largestDifference } from "../support/minilm.ts";
import { compilations, describeFixture } from "./support/fixture.ts";
import { encoderWarnings, tiny } from "./support/tiny.ts";

// For another target in test/real.
const ways = compilations.filter(([name]) => name !== "for onnx");
describeFixture("bert", bert, { ways, warned: encoderWarnings.bert });
describeFixture("modernbert", modernbert, { ways });
describeFixture("vit", vit, { ways });
describeFixture("t5", t5, { ways });
describeFixture("bart", bart, { ways, warned: encoderWarnings.bart });
describeFixture("whisper", whisper, { ways });
// Marian's fixture was computed with random tables of positions, which its checkpoint does not hold.

const sizes = new Map([
  ["batch", 2],
  ["seq", 17],
  ["target", 9],
]);

/** Weights large enough that a mistake anywhere shows in the outputs. */
function strongWeights(graph: Graph, more: ReadonlyMap<string, HostTensor> = new Map()) {
  const normal = randomInputs(paramsOf(graph), 1);
  const weights = Array.from(normal, ([name, x]) => {
    const values = toFloat64(x).map((value) => 0.4 * value);
    return [name, more.get(name) ?? fromNumbers("f32", x.dims, values)] as const;
  });
  return memoryStore(new Map(weights));
}

const evaluate = (graph: Graph, weights = strongWeights(graph)) =>
  new Map(
    Array.from(evaluateGraph(graph, randomFeeds(graph, sizes, 1), { weights }), ([name, { dims, data }]) => [
      name,
      fromNumbers("f64", dims, data),
    ]),
  );

describe("what is compiled gives what is declared", () => {
  test.each(Object.entries(tiny))("%s", async (_, build) => {
    const built = build();
    const weights = strongWeights(built.graph);
    const compiled = await compile(built, { weights });
    const actual = await runModel(compiled.onnx(), randomFeeds(built.graph, sizes, 1));
    for (const [name, expected] of evaluate(built.graph, weights)) {
      expect(largestDifference(actual.get(name)!, expected), name).toBeLessThan(1e-4);
      expect(Math.max(...toFloat64(expected).map(Math.abs)), name).toBeGreaterThan(0.1);
    }
  });
});

test.each([
  [12, 3],
  [15, 5],
])("Marian's positions of width %d are sines, then cosines, of p / 10000^(2i / d)", (d, heads) => {
  const settings = {
    layers: 1,
    decoderLayers: 1,
    d,
    heads,
    decoderHeads: 3,
    ffn: 10,
    decoderFfn: 14,
    vocab: 13,
  };
  const [computed, stored] = [false, true].map(
    (storedPositions) => marian.build({ ...settings, decoderVocab: 13, positions: 40, storedPositions }).graph,
  ) as [Graph, Graph];
  const table = Array.from({ length: 40 }, (_, p) =>
    [Math.sin, Math.cos]
      .flatMap((wave) => Array.from({ length: Math.ceil(d / 2) }, (_, i) => wave(p / 10000 ** ((2 * i) / d))))
      .slice(0, d),
  );
  const positions = fromNumbers("f32", [40, d], table.flat());
  const tables = new Map(["encoder", "decoder"].map((s) => [`model.${s}.embed_positions.weight`, positions] as const));
  const expected = evaluate(stored, strongWeights(stored, tables)).get("logits")!;
  expect(largestDifference(evaluate(computed).get("logits")!, expected)).toBeLessThan(1e-6);
});

describe("T5's buckets", () => {
  test("as published: 16 for each side, the furthest from 91 on", () => {
    const first = Array.from({ length: 16 }, (_, i) => {
      const distances = Array.from({ length: 129 }, (_, n) => n);
      return distances.find((n) => bucket(n, 16, 128) === i);
    });
    expect(first).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]);
  });

  test.each([
    [16, 128],
    [32, 128],
    [4, 20],
    [5, 17],
    [10, 100],
  ])("%d up to %d grow with the logarithm", (buckets, furthest) => {
    const exact = Math.floor(buckets / 2);
    for (let n = 0; n <= 2 * furthest; n++) {
      const place = exact + (Math.log(n / exact) / Math.log(furthest / exact)) * (buckets - exact);
      // Where it is a whole number but for rounding, float32 decides.
      if (n >= exact && Math.abs(place - Math.round(place)) < 1e-5) continue;
      expect(bucket(n, buckets, furthest)).toBe(n < exact ? n : Math.min(Math.floor(place), buckets - 1));
    }
  });
});
