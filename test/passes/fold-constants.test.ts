import { expect, it } from "vitest";
import { nodesOf } from "../../src/ir/graph.ts";
import { parseGraph } from "../../src/ir/parse.ts";
import { foldConstants } from "../../src/passes/fold-constants.ts";
import { runPipeline } from "../../src/passes/pipeline.ts";
import { contextOf } from "./support/context.ts";

/** The sum of the numbers below `size`, from text. */
async function counted(size: number) {
  const cx = contextOf();
  const text = `graph @g(%x: f32[1]) {
  %n: i64[${size}] = iota() {size = ${size}}
  %f: f32[${size}] = cast(%n) {to = f32}
  %s: f32[] = reduceSum(%f) {axes = [0]}
  %y: f32[1] = add(%x, %s)
  return %y
}`;
  const { graph, steps } = await runPipeline(parseGraph(text, cx.arena), [foldConstants], cx);
  return { ops: nodesOf(graph).map(({ op }) => op), refused: steps[0]!.tally.refused.get("fold-constants") };
}

it("what takes much on the way, though its result is small, is left to the runtime", async () => {
  expect(await counted(2 ** 18)).toEqual({ ops: ["input", "constant", "add"], refused: undefined });
  const { ops, refused } = await counted(2 ** 40);
  expect(ops).toEqual(["input", "iota", "cast", "reduceSum", "add"]);
  expect([...refused!.keys()]).toContain("what it takes on the way is too large for what it is made of");
});
