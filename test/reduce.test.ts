import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readTensors } from "../src/backends/ort/tensor-files.ts";
import { openSafetensors } from "../src/backends/weights/safetensors.ts";
import { Arena } from "../src/ir/arena.ts";
import { parseGraph } from "../src/ir/parse.ts";
import { printGraph } from "../src/ir/print.ts";
import { loadGraph } from "../src/load-graph.ts";
import { reduceCase } from "../src/reduce.ts";
import { endingLike, firing, ofPass, ofRuntime } from "../src/reduce-checks.ts";
import { writeFolder } from "../src/reduce-folder.ts";
import { type Case, operationsOf } from "../src/reduce-steps.ts";
import { referenceFor } from "../src/reference.ts";
import { investigate, verify } from "../src/verify.ts";
import { temporaryFolder } from "./cli/support/command.ts";
import { harmless, planted } from "./support/planted.ts";

const folder = temporaryFolder();

const text = `graph @m(%x: f32[batch, n, 12], %mask: bool[batch, 1, 1, n]) {
  %w: f32[36, 12] = param() {name = "w"}
  %h: f32[batch, n, 36] = contract(%x, %w) {spec = "b n i, o i -> b n o"}
  %e: f32[batch, n, 36] = exp(%h)
  %a: f32[batch, n, 36] = abs(%e)
  %lower: f32[batch, n, 36] = add(%a, -1.5)
  %distance: f32[batch, n, 36] = abs(%lower)
  %t: f32[batch, n, 36] = tanh(%distance)
  %q: f32[batch, n, 3, 12] = reshape(%t)
  %k: f32[batch, 3, n, 12] = transpose(%q) {perm = [0, 2, 1, 3]}
  %y: f32[batch, 3, n, 12] = attention(%k, %k, %k, %mask) {scale = 0.25}
  %z: f32[batch, n, 36] = sigmoid(%h)
  return %y, %z
}`;

const open = () => {
  const arena = new Arena();
  return { graph: parseGraph(text, arena), arena };
};

/** What a planted bug gets wrong, ready to be reduced. */
async function planting(pass: (typeof planted)[keyof typeof planted]) {
  const declared = open();
  const { evidence } = await investigate(declared, { passes: [pass] });
  const { step, trial, watched } = evidence!;
  const first: Case = { ...declared, graph: step!.before, feeds: trial.feeds, weights: watched.weights };
  return { first, check: await endingLike(first, ofPass(step!, referenceFor(declared.graph, declared.arena))) };
}

const bare = ({ graph }: Case): string => printGraph(graph);

describe("a graph that a pass gets wrong", () => {
  test("shrinks to the operation that shows it, at size one", async () => {
    const { first, check } = await planting(planted.absOfAnything);
    const smallest = await reduceCase(first, check);
    expect(operationsOf(first)).toHaveLength(10);
    expect(bare(smallest)).toBe(`graph @m(%lower: f32[1, 1, 1]) {
  %distance: f32[1, 1, 1] = abs(%lower)
  return %distance
}
`);
    expect([...smallest.feeds.values()].map(({ data }) => data[0]! < 0)).toEqual([true]);
  });

  test("keeps what it takes to go wrong", async () => {
    const { first, check } = await planting(planted.maskForgotten);
    const smallest = await reduceCase(first, check);
    expect(operationsOf(smallest).map(({ op }) => op)).toEqual(["attention"]);
    expect([...smallest.feeds.keys()]).toContain("mask");
    expect(await check(smallest)).toBe(true);
  });

  test("is written as a folder that shows it again", async () => {
    const { first: wrong, check: fails } = await planting(planted.absOfAnything);
    // Only outputs and sizes shrink where the search is stopped early: the weights are still needed.
    const stop = new AbortController();
    let tried = 0;
    const onProgress = () => void (++tried === 3 && stop.abort());
    const some = await reduceCase(wrong, fails, { signal: stop.signal, onProgress });
    expect(operationsOf(some).length).toBeGreaterThan(1);
    expect(await fails(some)).toBe(true);
    const made = join(folder, "repro");
    writeFolder(made, some, "# m, reduced\n");
    expect(readFileSync(join(made, "README.md"), "utf8")).toBe("# m, reduced\n");
    const read = loadGraph(join(made, "graph.ir"));
    expect(printGraph(read.graph, read)).toBe(printGraph(some.graph, some));
    const again = await verify(read, {
      feeds: readTensors(join(made, "inputs.safetensors")),
      weights: openSafetensors(join(made, "weights.safetensors")),
      passes: [harmless, planted.absOfAnything],
    });
    expect(again.guilty).toMatchObject({ stage: "planted-abs-of-anything", rule: "abs-of-anything" });
    expect(() => writeFolder(made, some, "")).toThrow(expect.objectContaining({ code: "QKV507" }));
  });
});

test("a rule that fires, and no difference in the runtime", async () => {
  const { first } = await planting(planted.absOfAnything);
  const smallest = await reduceCase(first, firing("sub-constant", { passes: ["canonicalise"] }));
  expect(smallest).toBe(first);
  const tanh = await reduceCase(first, firing("decompose-attention", { target: "onnx", opset: 17 }));
  expect(operationsOf(tanh).map(({ op }) => op)).toEqual(["attention"]);
  const ending = ofRuntime("all", {}, referenceFor(first.graph, first.arena));
  expect(await ending(first)).toBe("equal");
  expect(await (await endingLike(first, ending))(first)).toBe(false);
});
