import { describe } from "vitest";
import attentionSinks from "../../models/variants/attention-sinks.ts";
import differential from "../../models/variants/differential.ts";
import exclusive from "../../models/variants/exclusive.ts";
import gatedAttention from "../../models/variants/gated-attention.ts";
import guidedAttentionLoss from "../../models/variants/guided-attention-loss.ts";
import permutation from "../../models/variants/permutation.ts";
import persistentMemory from "../../models/variants/persistent-memory.ts";
import qkNorm from "../../models/variants/qk-norm.ts";
import talkingHeads from "../../models/variants/talking-heads.ts";
import { hostTensor } from "../../src/index.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { attentionOf, type Feeds, named, reader, softmax } from "./support/reference.ts";
import { batch, checkVariant, heads, type Variant } from "./support/variant.ts";

/** Variants that change more than mask and score, each against loops written from its paper. */

const causal = (_b: number, _h: number, q: number, k: number) => q >= k;
const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const sum = (values: readonly number[]) => values.reduce((total, x) => total + x, 0);

/** A tensor [batch, rows, heads · width] times Wᵀ, as [batch, heads, rows, width]. */
function projected(feeds: Feeds, name: string, count: number) {
  const [x, w] = [named(feeds, "x"), named(feeds, `${name}.weight`)];
  const [at, weight] = [reader(x), reader(w)];
  const [rows, width] = [x.dims[1]!, w.dims[0]! / count];
  const data = range(batch).flatMap((b) =>
    range(count).flatMap((h) =>
      range(rows).flatMap((i) =>
        range(width).map((c) => sum(range(x.dims[2]!).map((j) => at(b, i, j) * weight(h * width + c, j)))),
      ),
    ),
  );
  return hostTensor("f64", [batch, count, rows, width], Float64Array.from(data));
}

/** o [batch, rows, width] = values [batch, heads, rows, width of a head] joined, times Wᵀ. */
function joined(
  feeds: Feeds,
  rows: number,
  count: number,
  width: number,
  value: (...at: number[]) => number,
): number[] {
  const weight = reader(named(feeds, "o_proj.weight"));
  return range(batch).flatMap((b) =>
    range(rows).flatMap((i) =>
      range(count * width).map((o) =>
        sum(range(count * width).map((j) => value(b, Math.floor(j / width), i, j % width) * weight(o, j))),
      ),
    ),
  );
}

/** Heads `from` up to `to` of a tensor [batch, heads, rows, width]. */
function some(x: ReturnType<typeof projected>, from: number, to: number) {
  const [, all, rows, width] = x.dims as [number, number, number, number];
  const parts = range(batch).map((b) => x.data.slice((b * all + from) * rows * width, (b * all + to) * rows * width));
  return hostTensor(
    "f64",
    [batch, to - from, rows, width],
    Float64Array.from(parts.flatMap((part) => [...part].map(Number))),
  );
}

const shorter = [1, 15, 17, 33].map((n) => [n, n] as const);

const variants: Readonly<Record<string, Variant>> = {
  "attention-sinks": {
    model: attentionSinks,
    settings: { window: 5 },
    written: (feeds) => {
      const sink = reader(named(feeds, "sinks"));
      return {
        mask: (_b, _h, q, k) => k <= q && k >= q - 5,
        weights: (scores, h) => softmax([...scores, sink(h)]).slice(0, -1),
      };
    },
  },

  "qk-norm": {
    model: qkNorm,
    outputs: (feeds) => {
      const normed = (name: string) => {
        const x = named(feeds, name);
        const [at, gain] = [reader(x), reader(named(feeds, `${name}_norm.weight`))];
        const [B, H, rows, d] = x.dims as [number, number, number, number];
        const data = range(B * H * rows * d).map((i) => {
          const row = range(d).map((c) => at(0, 0, Math.floor(i / d), c));
          return (row[i % d]! * gain(i % d)) / Math.sqrt(sum(row.map((y) => y * y)) / d + 1e-6);
        });
        return hostTensor("f64", x.dims, Float64Array.from(data));
      };
      return { o: attentionOf(normed("q"), normed("k"), named(feeds, "v"), { mask: causal }) };
    },
  },

  permutation: {
    model: permutation,
    // 7 has no divisor in common with any of the lengths.
    inputs: ({ K }) => ({
      rank: fromNumbers(
        "i64",
        [batch, K],
        range(batch).flatMap((b) => range(K).map((i) => (i * 7 + b) % K)),
      ),
    }),
    outputs: (feeds) => {
      const rank = reader(named(feeds, "rank"));
      const stream = (queries: string, least: number) =>
        attentionOf(named(feeds, queries), named(feeds, "k"), named(feeds, "v"), {
          mask: (b, _h, q, k) => rank(b, q) - rank(b, k) >= least,
        });
      return { content: stream("q", 0), query: stream("g", 1) };
    },
  },

  "persistent-memory": {
    model: persistentMemory,
    settings: { memory: 3 },
    outputs: (feeds, { K }) => {
      const joinedTo = (name: string, learned: string) => {
        const [tokens, vectors] = [reader(named(feeds, name)), reader(named(feeds, learned))];
        const data = range(batch).flatMap((b) =>
          range(heads).flatMap((h) =>
            range(K + 3).flatMap((i) => range(8).map((c) => (i < K ? tokens(b, h, i, c) : vectors(h, i - K, c)))),
          ),
        );
        return hostTensor("f64", [batch, heads, K + 3, 8], Float64Array.from(data));
      };
      const [k, v] = [joinedTo("k", "memory_keys"), joinedTo("v", "memory_values")];
      return { o: attentionOf(named(feeds, "q"), k, v, { mask: (_b, _h, q, key) => key <= q || key >= K }) };
    },
  },

  exclusive: {
    model: exclusive,
    outputs: (feeds) => {
      const [q, k, v] = ["q", "k", "v"].map((name) => named(feeds, name));
      const y = attentionOf(q!, k!, v!, { mask: causal });
      const value = reader(v!);
      const o = y.map((x, i) => {
        const row = Math.floor(i / 8);
        const own = range(8).map((c) => value(0, 0, row, c));
        const length = Math.hypot(...own);
        return x - (sum(own.map((component, c) => (component / length) * y[row * 8 + c]!)) * own[i % 8]!) / length;
      });
      return { o };
    },
  },

  "talking-heads": {
    model: talkingHeads,
    lengths: [...shorter, [65, 65]],
    outputs: (feeds, { Q, K }) => {
      const [q, k, v, L, W] = ["q", "k", "v", "logits", "weights"].map((name) => reader(named(feeds, name)));
      const out = range(batch).flatMap((b) => {
        const scores = range(heads).map((h) =>
          range(Q).map((i) =>
            range(K).map((j) => sum(range(8).map((c) => q!(b, h, i, c) * k!(b, h, j, c))) / Math.sqrt(8)),
          ),
        );
        const maps = range(heads).map((h) =>
          range(Q).map((i) =>
            softmax(range(K).map((j) => sum(range(heads).map((g) => scores[g]![i]![j]! * L!(g, h))))),
          ),
        );
        return range(heads).flatMap((g) =>
          range(Q).flatMap((i) => {
            const row = range(K).map((j) => sum(range(heads).map((h) => maps[h]![i]![j]! * W!(h, g))));
            return range(8).map((c) => sum(row.map((weight, j) => weight * v!(b, g, j, c))));
          }),
        );
      });
      return { o: out };
    },
  },

  differential: {
    model: differential,
    settings: { d: 4, layer: 3 },
    lengths: shorter,
    outputs: (feeds, { Q }) => {
      const [q, k] = ["q_proj", "k_proj"].map((name) => projected(feeds, name, 2 * heads));
      const v = projected(feeds, "v_proj", heads);
      const [one, two] = [0, heads].map((from) =>
        attentionOf(some(q!, from, from + heads), some(k!, from, from + heads), v, { mask: causal }),
      );
      const dot = (of: string) => {
        const [a, b] = [reader(named(feeds, `lambda_q${of}`)), reader(named(feeds, `lambda_k${of}`))];
        return sum(range(4).map((i) => a(i) * b(i)));
      };
      const start = 0.8 - 0.6 * Math.exp(-0.6);
      const lambda = Math.exp(dot("1")) - Math.exp(dot("2")) + start;
      const gain = reader(named(feeds, "head_norm.weight"));
      const value = (b: number, h: number, i: number, c: number) => {
        const at = ((b * heads + h) * Q + i) * 8;
        const row = range(8).map((j) => one![at + j]! - lambda * two![at + j]!);
        return ((1 - start) * row[c]! * gain(c)) / Math.sqrt(sum(row.map((y) => y * y)) / 8 + 1e-5);
      };
      return { o: joined(feeds, Q, heads, 8, value as (...at: number[]) => number) };
    },
  },

  "gated-attention": {
    model: gatedAttention,
    lengths: shorter,
    outputs: (feeds, { Q }) => {
      const [q, k, v, gate] = ["q_proj", "k_proj", "v_proj", "gate_proj"].map((name) => projected(feeds, name, heads));
      const found = attentionOf(q!, k!, v!, { mask: causal });
      const opened = reader(gate!);
      const value = (b: number, h: number, i: number, c: number) =>
        found[((b * heads + h) * Q + i) * 8 + c]! / (1 + Math.exp(-opened(b, h, i, c)));
      return { o: joined(feeds, Q, heads, 8, value as (...at: number[]) => number) };
    },
  },

  "guided-attention-loss": {
    model: guidedAttentionLoss,
    settings: { g: 0.3 },
    outputs: (feeds, { Q, K }) => {
      const [q, k] = [reader(named(feeds, "q")), reader(named(feeds, "k"))];
      let total = 0;
      for (const b of range(batch))
        for (const h of range(heads))
          for (const i of range(Q)) {
            const row = softmax(
              range(K).map((j) => sum(range(8).map((c) => q(b, h, i, c) * k(b, h, j, c))) / Math.sqrt(8)),
            );
            total += sum(row.map((weight, j) => weight * (1 - Math.exp(-((j / K - i / Q) ** 2) / 0.18))));
          }
      return {
        o: attentionOf(named(feeds, "q"), named(feeds, "k"), named(feeds, "v"), {}),
        loss: [total / (batch * heads * Q * K)],
      };
    },
  },
};

describe.each(Object.entries(variants))("%s", (_, variant) => checkVariant(variant));
