import { expect, test } from "vitest";
import { compareOutputs } from "../../src/backends/ort/compare-outputs.ts";
import { opDef } from "../../src/ir/arena.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { nodesOf } from "../../src/ir/graph.ts";
import { substituteDType } from "../../src/ir/substitute.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { verifyGraph } from "../../src/ir/verify.ts";
import { tallying } from "../../src/passes/pass.ts";
import { aheadOfSteps } from "../../src/passes/rewrite/steps.ts";
import { widen } from "../../src/passes/widen.ts";
import { graphOfSeed } from "../fuzz/graphs/check.ts";
import { sizesOf } from "../pipeline/support/differential.ts";
import { drawing } from "../pipeline/support/draw.ts";
import { feedsFor, weightsFor } from "../pipeline/support/random-model.ts";
import { contextOf } from "./support/context.ts";

/** What may compute in half precision still: casts, what is kept as it is, and what whole numbers are made of. */
const staysNarrow = /^(cast|scatter|opaque|if|scan|select)$/;

test("random graphs in half precision mean the same in single precision", async () => {
  let widened = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const { arena, graph: single } = graphOfSeed(seed);
    const graph = substituteDType(arena, single, "f32", "f16");
    const { report, tally } = tallying();
    const after = await widen.run(graph, { ...contextOf({ arena }), report });
    verifyGraph(after, { arena });
    expect(after.outputs.map(({ value }) => value.type)).toEqual(graph.outputs.map(({ value }) => value.type));
    expect(await widen.run(after, { ...contextOf({ arena }), report }), `seed ${seed}`).toBe(after);
    if (!tally().fired.has("widen")) continue;
    widened++;
    const sizes = sizesOf(graph, drawing(seed), false);
    const weights = weightsFor(graph);
    const given = { weights: { read: (name: string) => weights.get(name)! } };
    const [expected, actual] = [graph, after].map((one) => {
      const outputs = evaluateGraph(one, feedsFor(graph, sizes, seed), given);
      return new Map(Array.from(outputs, ([name, { dims, data }]) => [name, fromNumbers("f64", dims, data)]));
    });
    // Composites have constants of their own, in the type they are computed in.
    const { equal, maxRelError } = compareOutputs(expected!, actual!, {
      absolute: 1e-3,
      relative: 4e-3,
      sameNaN: true,
    });
    expect(equal, `seed ${seed}: ${maxRelError}`).toBe(true);
    const ahead = aheadOfSteps(after);
    const left = nodesOf(after).filter(
      (node) =>
        !ahead.has(node) &&
        node.results.some(({ type }) => type.dtype === "f16") &&
        !/leaf|movement/.test(opDef(node.op).traits.join()) &&
        !staysNarrow.test(node.op),
    );
    expect(
      left.map(({ op }) => op),
      `seed ${seed}`,
    ).toEqual([]);
  }
  expect(widened).toBeGreaterThan(200);
});
