import { describe } from "vitest";
import batched from "../../models/variants/batched.ts";
import bigbird from "../../models/variants/bigbird.ts";
import blockDiffusion from "../../models/variants/block-diffusion.ts";
import causal from "../../models/variants/causal.ts";
import dilated from "../../models/variants/dilated.ts";
import dilatedSlidingWindow from "../../models/variants/dilated-sliding-window.ts";
import documents from "../../models/variants/documents.ts";
import draftTraining from "../../models/variants/draft-training.ts";
import fixed from "../../models/variants/fixed.ts";
import globalSlidingWindow from "../../models/variants/global-sliding-window.ts";
import local from "../../models/variants/local.ts";
import longformer from "../../models/variants/longformer.ts";
import nonAutoregressive from "../../models/variants/non-autoregressive.ts";
import packedCausalDocuments from "../../models/variants/packed-causal-documents.ts";
import padding from "../../models/variants/padding.ts";
import prefixLm from "../../models/variants/prefix-lm.ts";
import sharedPrefix from "../../models/variants/shared-prefix.ts";
import slidingWindow from "../../models/variants/sliding-window.ts";
import streamingLlm from "../../models/variants/streaming-llm.ts";
import strided from "../../models/variants/strided.ts";
import treeCausal from "../../models/variants/tree-causal.ts";
import waitK from "../../models/variants/wait-k.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { named, reader } from "./support/reference.ts";
import { checkVariant, type Variant } from "./support/variant.ts";

/** Masks of sequences, each against the same mask written again: as lists, loops and ranges. */

/** Documents that begin at 0, 9, 10 and 40. */
const documentAt = (i: number) => (i < 9 ? 0 : i < 10 ? 1 : i < 40 ? 2 : 3);
const within = (i: number) => i - [0, 9, 10, 40][documentAt(i)]!;

/** The root, its children, theirs, and so on: the nodes on the way from `node` up. */
function wayUp(parents: readonly number[], node: number): readonly number[] {
  const way = [];
  for (let at = node; at !== -1; at = parents[at]!) way.push(at);
  return way;
}
const chain = (n: number) => Array.from({ length: n }, (_, i) => i - 1);
const binary = (n: number) => Array.from({ length: n }, (_, i) => (i === 0 ? -1 : Math.floor((i - 1) / 2)));

const tree = (parents: readonly number[], pasts: readonly number[]): Variant => ({
  model: treeCausal,
  settings: { parents },
  lengths: pasts.map((past) => [parents.length, parents.length + past]),
  dims: (Q, K) => ({ past: K - Q }),
  fullSize: [16, 1041],
  written: (_, { Q, K }) => ({
    mask: (_b, _h, q, k) => k < K - Q || wayUp(parents, q).includes(k - (K - Q)),
  }),
});

/** BigBird's random blocks, from the seed: neighbours and the first block are seen anyway, and none is drawn twice. */
function drawn(blocks: number, count: number, seed: number): readonly (readonly number[])[] {
  let state = BigInt(seed);
  return Array.from({ length: blocks }, (_, row) => {
    const left: number[] = [];
    for (let other = 1; other < blocks; other++) if (other < row - 1 || other > row + 1) left.push(other);
    const picked: number[] = [];
    for (let i = 0; i < count; i++) {
      state = (state * 48271n) % 2147483647n;
      picked.push(...left.splice(Number(state % BigInt(left.length)), 1));
    }
    return picked;
  });
}

const variants: Readonly<Record<string, Variant>> = {
  causal: { model: causal, written: () => ({ mask: (_b, _h, q, k) => q >= k }) },

  "sliding-window": {
    model: slidingWindow,
    settings: { window: 5 },
    written: () => ({ mask: (_b, _h, q, k) => [0, 1, 2, 3, 4, 5].some((back) => k + back === q) }),
  },

  local: {
    model: local,
    settings: { reach: 4 },
    written: () => ({ mask: (_b, _h, q, k) => k >= q - 4 && k <= q + 4 }),
  },

  "dilated-sliding-window": {
    model: dilatedSlidingWindow,
    settings: { reach: 7, dilation: 3 },
    written: () => ({ mask: (_b, _h, q, k) => [-6, -3, 0, 3, 6].includes(k - q) }),
  },

  longformer: {
    model: longformer,
    settings: { reach: 3, globals: 2 },
    written: () => ({ mask: (_b, _h, q, k) => q <= 1 || k <= 1 || (k >= q - 3 && k <= q + 3) }),
  },

  "global-sliding-window": {
    model: globalSlidingWindow,
    settings: { reach: 2, globals: [3, 16, 200] },
    written: () => {
      const isGlobal = new Set([3, 16, 200]);
      return { mask: (_b, _h, q, k) => isGlobal.has(q) || isGlobal.has(k) || (k >= q - 2 && k <= q + 2) };
    },
  },

  strided: {
    model: strided,
    settings: { stride: 4 },
    written: () => ({
      mask: (_b, _h, q, k) => {
        const seen = new Set([q, q - 1, q - 2, q - 3]);
        for (let at = q; at >= 0; at -= 4) seen.add(at);
        return seen.has(k);
      },
    }),
  },

  fixed: {
    model: fixed,
    settings: { block: 8, summary: 2 },
    written: () => ({
      mask: (_b, _h, q, k) => {
        const first = 8 * Math.floor(q / 8);
        return k <= q && (k >= first || [6, 7].includes(k % 8));
      },
    }),
  },

  bigbird: {
    model: bigbird,
    settings: { block: 4, reach: 1, globals: 1, random: 2, blocks: 20, seed: 7 },
    written: () => {
      const rows = drawn(20, 2, 7);
      return {
        mask: (_b, _h, q, k) => {
          const [row, column] = [Math.floor(q / 4), Math.floor(k / 4)];
          return [0, row - 1, row, row + 1, ...rows[row % 20]!].includes(column) || row === 0;
        },
      };
    },
  },

  "streaming-llm": {
    model: streamingLlm,
    settings: { sinks: 2, window: 5 },
    written: () => ({ mask: (_b, _h, q, k) => k <= q && [0, 1, q, q - 1, q - 2, q - 3, q - 4, q - 5].includes(k) }),
  },

  "prefix-lm": {
    model: prefixLm,
    settings: { length: 9 },
    written: () => ({ mask: (_b, _h, q, k) => k <= Math.max(q, 8) }),
  },

  documents: {
    model: documents,
    settings: { offsets: [0, 9, 10, 40] },
    written: () => ({ mask: (_b, _h, q, k) => documentAt(q) === documentAt(k) && within(k) <= within(q) }),
  },

  "packed-causal-documents": {
    model: packedCausalDocuments,
    settings: { offsets: [0, 9, 10, 40] },
    written: () => ({ mask: (_b, _h, q, k) => k <= q && k >= q - within(q) }),
  },

  "shared-prefix": {
    model: sharedPrefix,
    settings: { offsets: [0, 4, 9, 12, 30, 50], prompts: [0, 0, 0, 3, 3, 3] },
    written: () => {
      const runs = [
        { from: 0, to: 4, prompt: [0, 0] },
        { from: 4, to: 9, prompt: [0, 4] },
        { from: 9, to: 12, prompt: [0, 4] },
        { from: 12, to: 30, prompt: [0, 0] },
        { from: 30, to: 50, prompt: [12, 30] },
        { from: 50, to: Infinity, prompt: [12, 30] },
      ] as const;
      return {
        mask: (_b, _h, q, k) => {
          const { from, prompt } = runs.find((run) => run.from <= q && q < run.to)!;
          return (k >= from && k <= q) || (k >= prompt[0] && k < prompt[1]);
        },
      };
    },
  },

  batched: {
    model: batched,
    settings: { length: 8 },
    written: () => ({ mask: (_b, _h, q, k) => k <= q && k >= q - (q % 8) }),
  },

  "block-diffusion": {
    model: blockDiffusion,
    settings: { length: 128, block: 4 },
    lengths: [1, 15, 33, 129, 253].map((n) => [n, n]),
    written: () => {
      const kind = (i: number) => (i < 128 ? "noised" : "clean");
      const block = (i: number) => Math.floor((i < 128 ? i : i - 128) / 4);
      return {
        mask: (_b, _h, q, k) => {
          const pair = `${kind(q)} sees ${kind(k)}`;
          if (pair === "noised sees noised") return block(q) === block(k);
          if (pair === "noised sees clean") return block(k) < block(q);
          return pair === "clean sees clean" && block(k) <= block(q);
        },
      };
    },
  },

  "block-diffusion, other sizes": {
    model: blockDiffusion,
    settings: { length: 33, block: 5 },
    lengths: [[66, 66]],
    written: () => ({
      mask: (_b, _h, q, k) => {
        const [x, y] = [Math.floor((q % 33) / 5), Math.floor((k % 33) / 5)];
        return [q < 33 && k < 33 && x === y, q < 33 && k > 32 && x > y, q > 32 && k > 32 && x >= y].includes(true);
      },
    }),
  },

  "tree-causal, one node": tree([-1], [1, 15, 257]),
  "tree-causal, a chain": tree(chain(15), [1, 17, 65]),
  "tree-causal, a bush": tree([-1, 0, 1, 1, 3, 3, 0], [1, 33]),
  "tree-causal, a binary tree": tree(binary(33), [1, 15, 33]),

  padding: {
    model: padding,
    inputs: ({ K }) => ({ lengths: fromNumbers("i64", [2], [K - Math.floor(K / 3), Math.floor(K / 2)]) }),
    written: (feeds) => {
      const length = reader(named(feeds, "lengths"));
      return { mask: (b, _h, _q, k) => k < length(b) };
    },
  },

  "wait-k": {
    model: waitK,
    settings: { wait: 2 },
    written: () => ({ mask: (_b, _h, q, k) => [0, 1].includes(k) || k - 1 <= q }),
  },

  "non-autoregressive": {
    model: nonAutoregressive,
    written: () => ({ mask: (_b, _h, q, k) => q < k || q > k }),
  },

  dilated: {
    model: dilated,
    settings: { segment: 12, dilation: 2 },
    written: () => ({
      mask: (_b, h, q, k) => {
        const first = q - (q % 12) + h;
        const chosen = [0, 2, 4, 6, 8, 10].map((step) => first + step);
        return chosen.includes(q) && chosen.includes(k);
      },
    }),
  },

  "draft-training": {
    model: draftTraining,
    settings: { prefix: 5, block: 4 },
    lengths: [1, 15, 17, 33, 65, 257].map((n) => [n, n + 5]),
    written: () => ({
      mask: (_b, _h, q, k) => k < 5 || [0, 1, 2, 3].some((back) => back <= q % 4 && k - 5 === q - back),
    }),
  },
};

describe.each(Object.entries(variants))("%s", (_, variant) => checkVariant(variant));
