import { expect, test } from "vitest";
import { type CompileOptions, compile } from "../../src/compile.ts";
import { attention, input, model, randomFeeds, session } from "../../src/index.ts";
import { toFloat64 } from "../../src/ir/tensor.ts";
import { attentionOf, softmax } from "../variants/support/reference.ts";
import { drawing } from "./support/draw.ts";
import { randomMask, randomScore } from "./support/random-mask.ts";

/**
 * Random masks and scores at lengths where work is worth skipping, against the functions called with numbers: whichever
 * way the attention is computed, and as many keys as queries or not.
 */
const seeds = 16;
const [batch, width] = [2, 8];
const found = new Set<string>();

const weightsBy = {
  softmax: (scores: readonly number[]) => (scores.some(Number.isFinite) ? softmax(scores) : scores.map(() => 0)),
  sigmoid: (scores: readonly number[]) => scores.map((s) => 1 / (1 + Math.exp(-s))),
} as const;

test.each(Array.from({ length: seeds }, (_, seed) => seed))("seed %i", async (seed) => {
  const draw = drawing(seed + 77_000);
  const [mask, maskText] = randomMask(draw, draw.int(0, 2));
  const [score, scoreText] = randomScore(draw);
  const normaliser = draw.pick(["softmax", "softmax", "sigmoid"] as const);
  const Q = draw.pick([33, 257, 511, 640]);
  const K = draw.chance(0.5) ? Q : draw.pick([65, 300, 700]);
  const heads = draw.pick([1, 2]);
  const declared = model("random", () => {
    const q = input("q", "f32", ["batch", heads, "seq", width]);
    const k = input("k", "f32", ["batch", heads, Q === K ? "seq" : "keys", width]);
    const v = input("v", "f32", ["batch", heads, Q === K ? "seq" : "keys", width]);
    return { o: attention(q, k, v, { mask, score, normaliser }) };
  }).build();

  const dims = new Map(Object.entries({ batch, seq: Q, ...(Q !== K && { keys: K }) }));
  const feeds = randomFeeds(declared.graph, dims, seed);
  const [q, k, v] = ["q", "k", "v"].map((name) => feeds.get(name)!);
  const expected = attentionOf(q!, k!, v!, {
    mask: (b, h, i, j) => mask({ b, h, q: i, k: j }),
    score: (s, b, h, i, j) => score(s, { b, h, q: i, k: j }),
    weights: weightsBy[normaliser],
  });
  const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 1);

  const ways: readonly CompileOptions[] = [
    { dims },
    { hints: dims },
    { dims, target: "onnx", opset: 17 },
    { hints: dims, target: "onnx", opset: 17 },
  ];
  for (const options of ways) {
    const compiled = await compile(declared, options);
    for (const { tally } of compiled.steps) for (const rule of tally.fired.keys()) found.add(rule);
    const running = await session(compiled);
    const actual = toFloat64((await running.run(feeds)).get("o")!);
    await running.close();
    const worst = actual.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i]!)), 0);
    const what = `${maskText}; ${scoreText}; ${normaliser}; ${heads} heads, ${Q} × ${K}; ${JSON.stringify([...Object.keys(options)])}`;
    expect(worst / largest, what).toBeLessThan(3e-5);
  }
});

test("every way of computing attention was among them", () => {
  expect([...found]).toEqual(
    expect.arrayContaining(["mask-banded", "mask-dense", "mask-gathered", "mask-globals", "mask-split"]),
  );
});
