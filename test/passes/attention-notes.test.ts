import { expect, test } from "vitest";
import { Arena } from "../../src/ir/arena.ts";
import { parseGraph } from "../../src/ir/parse.ts";
import { passesNamed, runPipeline } from "../../src/passes/pipeline.ts";
import { contextOf } from "./support/context.ts";

/** What the attention pass tells of a graph whose scores and probabilities go through more on their way. */
async function notesOf(scores: string, probabilities: string): Promise<readonly string[]> {
  const arena = new Arena();
  const graph = parseGraph(
    `graph @g(%q: f32[B, 4, S, 8], %k: f32[B, 2, T, 8], %v: f32[B, 2, T, 8], %x: f32[B, 2, 2, S, T], %on: bool[B, 1, 1, 1, T]) {
      %grouped: f32[B, 2, 2, S, 8] = reshape(%q) {shape = [B, 2, 2, S, 8]}
      %s: f32[B, 2, 2, S, T] = contract(%grouped, %k) {spec = "b h g q d, b h k d -> b h g q k"}
      %t: f32[B, 2, 2, S, T] = ${scores}
      %p: f32[B, 2, 2, S, T] = softmax(%t) {axis = -1}
      %w: f32[B, 2, 2, S, T] = ${probabilities}
      %y: f32[B, 2, 2, S, 8] = contract(%w, %v) {spec = "b h g q k, b h k d -> b h g q d"}
      return %y
    }`,
    arena,
  );
  const { steps } = await runPipeline(graph, passesNamed(["canonicalise", "fuse-attention"]), contextOf({ arena }));
  return steps.at(-1)!.tally.notes;
}

test("an attention that is found is named, with its heads and what it hides", async () => {
  expect(await notesOf("select(%on, %s, -1e9)", "neg(%p)")).toEqual([
    "no attention at %p: between the probabilities and the values is neg; blocked by neg %w",
  ]);
  const [note] = await notesOf("add(%s, %x)", "reshape(%p) {shape = [B, 2, 2, S, T]}");
  expect(note).toBe("attention %y: 4 heads over 2, with a bias");
  const [capped] = await notesOf("tanh(%s)", "reshape(%p) {shape = [B, 2, 2, S, T]}");
  expect(capped).toBe("attention %y: 4 heads over 2, scores Math.tanh(s)");
});

test.each([
  ["ceil(%s)", "scores come from ceil, not from a product; blocked by ceil %t"],
  ["select(%on, %s, -5)", "the scores where the mask is off are -5, which still counts; blocked by select %t"],
])("the operation that stands in the way is named: %s", async (scores, why) => {
  expect(await notesOf(scores, "reshape(%p) {shape = [B, 2, 2, S, T]}")).toEqual([`no attention at %p: ${why}`]);
});

test("a softmax that is not between two products is none of its concern", async () => {
  const arena = new Arena();
  const graph = parseGraph(
    `graph @g(%x: f32[S, 8], %w: f32[8, T]) {
      %s: f32[S, T] = contract(%x, %w) {spec = "s d, d t -> s t"}
      %p: f32[S, T] = softmax(%s) {axis = -1}
      return %p
    }`,
    arena,
  );
  const { steps } = await runPipeline(graph, passesNamed(["fuse-attention"]), contextOf({ arena }));
  expect(steps[0]!.tally.notes).toEqual([]);
});

test.each([
  ["exp(%s)", "min(%e, 100)", 1, "a softmax is written out with min in it; blocked by min %f"],
  ["exp(%s)", "reshape(%e) {shape = [S, S]}", 0, "a softmax is written out whose sum is another; blocked by div %p"],
  ["exp(%c)", "max(%e, 0)", 1, "scores come from ceil, not from a product; blocked by ceil %c"],
])(
  "so is that in a softmax that is written out: %s, %s, over the sum along %s",
  async (exponentials, weights, axis, why) => {
    const arena = new Arena();
    const graph = parseGraph(
      `graph @g(%q: f32[S, 8], %k: f32[S, 8], %v: f32[S, 8]) {
      %s: f32[S, S] = contract(%q, %k) {spec = "q d, k d -> q k"}
      %c: f32[S, S] = ceil(%s)
      %e: f32[S, S] = ${exponentials}
      %f: f32[S, S] = ${weights}
      %z: f32[S] = reduceSum(%f) {axes = [${axis}]}
      %n: f32[S, 1] = reshape(%z) {shape = [S, 1]}
      %p: f32[S, S] = div(%f, %n)
      %y: f32[S, 8] = contract(%p, %v) {spec = "q k, k d -> q d"}
      return %y
    }`,
      arena,
    );
    const { steps } = await runPipeline(graph, passesNamed(["canonicalise", "fuse-attention"]), contextOf({ arena }));
    expect(steps.at(-1)!.tally.notes).toEqual([`no attention at %e: ${why}`]);
  },
);
