import { describe, expect, test } from "vitest";
import { compile } from "../../src/compile.ts";
import {
  attention,
  input,
  type MaskFunction,
  maskTable,
  model,
  type ProbFunction,
  randomFeeds,
  type ScoreFunction,
  session,
} from "../../src/index.ts";
import type { HostTensor } from "../../src/ir/tensor.ts";
import { masks, probs, scores } from "./support/functions.ts";

/** Each function lifted, compiled, run in the runtime, and compared with the function itself called with numbers. */

interface Functions {
  readonly mask?: MaskFunction;
  readonly score?: ScoreFunction;
  readonly prob?: ProbFunction;
}

const width = 4;
const [B, H] = [2, 2];

function declared(functions: Functions, Q: number | string, K: number | string, naive = false) {
  return model(`lifted${naive}`, () => {
    const q = input("q", "f32", [typeof Q === "string" ? "batch" : B, H, Q, width]);
    const k = input("k", "f32", [typeof Q === "string" ? "batch" : B, H, K, width]);
    const v = input("v", "f32", [typeof Q === "string" ? "batch" : B, H, K, width]);
    return { y: attention(q, k, v, functions) };
  });
}

/** softmax(score(q kᵀ / √width), masked) v in float64, the functions called with numbers. */
function reference(functions: Functions, feeds: ReadonlyMap<string, HostTensor>, Q: number, K: number): Float64Array {
  const { mask, score, prob } = functions;
  const seen = mask && maskTable(mask, { B, H, Q, K }).data;
  const [q, k, v] = ["q", "k", "v"].map((name) => feeds.get(name)!.data as Float32Array) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const out = new Float64Array(B * H * Q * width);
  for (let b = 0; b < B; b++)
    for (let h = 0; h < H; h++)
      for (let i = 0; i < Q; i++) {
        const row = (j: number) => {
          let dot = 0;
          for (let d = 0; d < width; d++)
            dot += q[((b * H + h) * Q + i) * width + d]! * k[((b * H + h) * K + j) * width + d]!;
          const at = { b, h, q: i, k: j };
          const s = dot / Math.sqrt(width);
          return seen && !seen[((b * H + h) * Q + i) * K + j] ? -Infinity : score ? score(s, at) : s;
        };
        const values = Array.from({ length: K }, (_, j) => row(j));
        const top = Math.max(...values);
        if (top === -Infinity) continue;
        const weights = values.map((value) => Math.exp(value - top));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        weights.forEach((weight, j) => {
          const p = weight / total;
          const kept = values[j] === -Infinity ? 0 : prob ? prob(p, { b, h, q: i, k: j }) : p;
          for (let d = 0; d < width; d++)
            out[((b * H + h) * Q + i) * width + d]! += kept * v[((b * H + h) * K + j) * width + d]!;
        });
      }
  return out;
}

async function check(functions: Functions, sizes: readonly (readonly [number, number])[], symbolic: boolean) {
  const compileAt = (Q: number | string, K: number | string) => compile(declared(functions, Q, K));
  const open = symbolic ? await compileAt("queries", "keys") : undefined;
  const openSession = open && (await session(open));
  for (const [Q, K] of sizes) {
    const compiled = open ?? (await compileAt(Q, K));
    const runner = openSession ?? (await session(compiled));
    const dims = symbolic
      ? new Map([
          ["batch", B],
          ["queries", Q],
          ["keys", K],
        ])
      : new Map<string, number>();
    const feeds = randomFeeds(compiled.declared, dims, 7);
    const { data } = (await runner.run(feeds)).get("y")!;
    const expected = reference(functions, feeds, Q, K);
    const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - Number(data[i]))), 0);
    expect(worst, `Q = ${Q}, K = ${K}`).toBeLessThan(2e-5);
    expect(Array.from(data as Float32Array).every(Number.isFinite)).toBe(true);
    if (!openSession) await runner.close();
  }
  await openSession?.close();
}

const every = [
  [1, 1],
  [15, 15],
  [17, 33],
  [33, 17],
  [65, 65],
] as const;
const fixed = [
  [15, 17],
  [33, 33],
] as const;

describe.each([
  ["masks", Object.entries(masks).map(([name, mask]) => [name, { mask }] as const)],
  ["scores", Object.entries(scores).map(([name, score]) => [name, { score }] as const)],
  ["probs", Object.entries(probs).map(([name, prob]) => [name, { prob }] as const)],
  [
    "together",
    [
      ["mask and bias", { mask: masks.strided!, score: scores.alibi! }],
      [
        "mask, soft cap and prob",
        { mask: masks["odd queries see nothing"]!, score: scores["soft cap"]!, prob: probs.sharpened! },
      ],
      ["a score that hides, and prob", { score: scores["hidden by what it is"]!, prob: (p) => p + 0.1 }],
      [
        "causal, a logarithm that hides, and prob",
        { mask: masks.causal!, score: scores["hidden by a logarithm"]!, prob: (p) => p + 0.1 },
      ],
    ] as [string, Functions][],
  ],
])("%s", (_, functions) => {
  test.each<readonly [string, Functions]>(functions)("%s, lengths open", (_, given) => check(given, every, true));
  test.each<readonly [string, Functions]>(functions)("%s, lengths fixed", (_, given) => check(given, fixed, false));
});
