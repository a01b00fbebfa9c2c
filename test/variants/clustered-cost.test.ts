import { describe, expect, test } from "vitest";
import clustered from "../../models/variants/clustered.ts";
import lsh from "../../models/variants/lsh.ts";
import moba from "../../models/variants/moba.ts";
import nsa from "../../models/variants/nsa.ts";
import routing from "../../models/variants/routing.ts";
import sinkhorn from "../../models/variants/sinkhorn.ts";
import vsa from "../../models/variants/vsa.ts";
import { compile } from "../../src/compile.ts";
import type { Built, Settings } from "../../src/dsl/model.ts";
import { flopsOf } from "../../src/ir/cost.ts";
import { evaluate, sum } from "../../src/ir/dim.ts";
import { nodesOf } from "../../src/ir/graph.ts";
import { volume } from "../../src/ir/types.ts";

const seq = 2 ** 16;
const dims = new Map([
  ["batch", 1],
  ["seq", seq],
]);
const [heads, d] = [8, 64];
/** Products of q kᵀ and of the weights with v. */
const dense = 4 * heads * d * seq ** 2;

interface Sized {
  readonly model: { build(overrides?: Settings): Built };
  readonly settings: Settings;
  /** How much less than dense attention it computes. */
  readonly saves: number;
  /** An op that is not counted. */
  readonly window?: string;
}

/** Clusters as many as the papers have for such a length. */
const variants: Readonly<Record<string, Sized>> = {
  routing: { model: routing, settings: { clusters: 256 }, saves: 60 },
  lsh: { model: lsh, settings: {}, saves: 400 },
  sinkhorn: { model: sinkhorn, settings: { max: seq }, saves: 50 },
  clustered: { model: clustered, settings: {}, saves: 100 },
  moba: { model: moba, settings: {}, saves: 40 },
  vsa: { model: vsa, settings: {}, saves: 60 },
  // What the mask of its window hides is saved where attention is lowered, and does not show in the formula.
  nsa: { model: nsa, settings: {}, saves: 8, window: "attention" },
};

describe.each(Object.entries(variants))("%s", (_, { model, settings, saves, window }) => {
  test("holds nothing of seq × seq", async () => {
    const { graph } = await compile({ build: () => model.build(settings) });
    for (const { op, results } of nodesOf(graph))
      for (const { type } of results)
        expect(evaluate(volume(type), dims), `${op} ${type.shape.length}`).toBeLessThan((heads * seq ** 2) / 8);
  });

  test("computes little of what dense attention does", () => {
    const { graph } = model.build(settings);
    const flops = sum(nodesOf(graph).flatMap((node) => (node.op === window ? [] : flopsOf(node))));
    expect(evaluate(flops, dims)).toBeLessThan(dense / saves);
  });
});
