import { describe } from "vitest";
import activation from "../../models/variants/activation.ts";
import adaptiveSpan from "../../models/variants/adaptive-span.ts";
import alibi from "../../models/variants/alibi.ts";
import cosine from "../../models/variants/cosine.ts";
import forgetting from "../../models/variants/forgetting.ts";
import gaussian from "../../models/variants/gaussian.ts";
import graphormerEdge from "../../models/variants/graphormer-edge.ts";
import graphormerSpatial from "../../models/variants/graphormer-spatial.ts";
import guidedAttention from "../../models/variants/guided-attention.ts";
import kerple from "../../models/variants/kerple.ts";
import mlaRope from "../../models/variants/mla-rope.ts";
import sandwich from "../../models/variants/sandwich.ts";
import scalableSoftmax from "../../models/variants/scalable-softmax.ts";
import shawRelative from "../../models/variants/shaw-relative.ts";
import sigmoidAttention from "../../models/variants/sigmoid-attention.ts";
import softCap from "../../models/variants/soft-cap.ts";
import t5Bias from "../../models/variants/t5-bias.ts";
import transformerXl from "../../models/variants/transformer-xl.ts";
import { fromNumbers, type HostTensor } from "../../src/ir/tensor.ts";
import { named, reader } from "./support/reference.ts";
import { batch, checkVariant, heads, type Variant } from "./support/variant.ts";

/** Scores, each against the same formula written again. */

const causal = (_b: number, _h: number, q: number, k: number) => q >= k;
const range = (n: number) => Array.from({ length: n }, (_, i) => i);
/** Weights that are the scores themselves. */
const asTheyAre = (scores: readonly number[]) => scores;

/** Whole numbers below `limit` in no order. */
function whole(dims: readonly number[], limit: number): HostTensor {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return fromNumbers(
    "i64",
    dims,
    Array.from({ length: size }, (_, i) => (i * i + 3 * i + (i >> 4)) % limit),
  );
}

/** T5's bucket of n positions away, in whole numbers: e · (furthest / e)^(j / e) <= n raised to the power e. */
function bucket(n: number, buckets: number, furthest: number): number {
  const e = buckets / 2;
  if (n < e) return n;
  const [wide, ratio] = [BigInt(n) ** BigInt(e), BigInt(furthest / e)];
  let j = 0;
  while (j < e - 1 && BigInt(e) ** BigInt(e) * ratio ** BigInt(j + 1) <= wide) j++;
  return e + j;
}

const t5 = (causalOne: boolean): Variant => ({
  model: t5Bias,
  settings: { buckets: 16, furthest: 64, causal: causalOne },
  written: (feeds) => {
    const bias = reader(named(feeds, "relative_attention_bias.weight"));
    return {
      scale: 1,
      mask: causalOne ? causal : () => true,
      score: (s, _b, h, q, k) => {
        if (causalOne) return s + bias(bucket(q - k, 16, 64), h);
        return s + (k > q ? bias(8 + bucket(k - q, 8, 64), h) : bias(bucket(q - k, 8, 64), h));
      },
    };
  },
});

const variants: Readonly<Record<string, Variant>> = {
  alibi: {
    model: alibi,
    written: () => ({
      mask: causal,
      score: (s, _b, h, q, k) => s - (q - k) / [2 ** (8 / heads), 2 ** (16 / heads)][h]!,
    }),
  },

  "soft-cap": {
    model: softCap,
    settings: { cap: 1.5 },
    written: () => ({
      mask: causal,
      score: (s) => 1.5 * ((Math.exp(s / 0.75) - 1) / (Math.exp(s / 0.75) + 1)),
    }),
  },

  sandwich: {
    model: sandwich,
    settings: { width: 8 },
    // 64 cosines a pair of tokens, in the naive graph.
    fullSize: [257, 257],
    written: () => ({
      mask: causal,
      score: (s, _b, h, q, k) => {
        const waves = [1, 0.1, 0.01, 0.001].map((frequency) => Math.cos(q * frequency - k * frequency));
        return s + waves.reduce((sum, wave) => sum + wave, 0) / (4 * (h + 1));
      },
    }),
  },

  "graphormer-spatial": {
    model: graphormerSpatial,
    settings: { distances: 7 },
    inputs: ({ Q, K }) => ({ distance: whole([batch, Q, K], 7) }),
    written: (feeds) => {
      const [distance, bias] = [reader(named(feeds, "distance")), reader(named(feeds, "bias"))];
      return { score: (s, b, h, q, k) => s + bias(h, distance(b, q, k)) };
    },
  },

  "graphormer-edge": {
    model: graphormerEdge,
    settings: { longest: 3, types: 5 },
    lengths: [1, 15, 17, 33, 65].map((n) => [n, n]),
    inputs: ({ Q, K }) => ({ type: whole([batch, Q, K, 3], 5), steps: whole([batch, Q, K], 4) }),
    written: (feeds) => {
      const [type, steps, bias] = ["type", "steps", "bias"].map((name) => reader(named(feeds, name)));
      return {
        score: (s, b, h, q, k) => {
          const path = Array.from({ length: steps!(b, q, k) }, (_, i) => bias!(h, i, type!(b, q, k, i)));
          return path.length === 0 ? s : s + path.reduce((sum, x) => sum + x, 0) / path.length;
        },
      };
    },
  },

  activation: {
    model: activation,
    written: () => ({
      mask: causal,
      score: (s, _b, _h, q) => (s > 0 ? (s * s) / (q + 1) : 0),
      weights: asTheyAre,
    }),
  },

  "mla-rope": {
    model: mlaRope,
    settings: { rope: 4 },
    written: (feeds) => {
      const [query, key] = [reader(named(feeds, "turned_q")), reader(named(feeds, "turned_k"))];
      const scale = 1 / Math.sqrt(12);
      return {
        scale,
        mask: causal,
        score: (s, b, h, q, k) =>
          s + [0, 1, 2, 3].reduce((dot, i) => dot + query(b, h, q, i) * key(b, k, i) * scale, 0),
      };
    },
  },

  "shaw-relative": {
    model: shawRelative,
    settings: { furthest: 3 },
    written: (feeds) => {
      const [query, a] = [reader(named(feeds, "q")), reader(named(feeds, "a"))];
      return {
        score: (s, b, h, q, k) => {
          const row = k <= q - 3 ? 0 : k >= q + 3 ? 6 : 3 + k - q;
          const dot = range(8).reduce((total, c) => total + query(b, h, q, c) * a(row, c), 0);
          return s + dot / Math.sqrt(8);
        },
      };
    },
  },

  "transformer-xl": {
    model: transformerXl,
    lengths: [
      [1, 2],
      [15, 16],
      [17, 33],
      [1, 33],
      [65, 72],
    ],
    fullSize: [513, 1025],
    dims: (Q, K) => ({ past: K - Q }),
    written: (feeds, { Q, K }) => {
      const [query, key, r, u, w] = ["q", "k", "r", "u", "w"].map((name) => reader(named(feeds, name)));
      const turned = (h: number, distance: number) =>
        range(8).map((c) =>
          range(16).reduce((total, e) => {
            const angle = distance / 10000 ** ((e - (e % 2)) / 16);
            return total + (e % 2 === 0 ? Math.sin(angle) : Math.cos(angle)) * r!(h, e, c);
          }, 0),
        );
      const vectors = [0, 1].map((h) => range(K).map((distance) => turned(h, distance)));
      return {
        mask: (_b, _h, q, k) => k - (K - Q) <= q,
        score: (_s, b, h, q, k) => {
          const far = vectors[h]![q + (K - Q) - k]!;
          const [content, position] = [
            range(8).reduce((total, c) => total + (query!(b, h, q, c) + u!(h, 0, c)) * key!(b, h, k, c), 0),
            range(8).reduce((total, c) => total + (query!(b, h, q, c) + w!(h, 0, c)) * far[c]!, 0),
          ];
          return (content + position) / Math.sqrt(8);
        },
      };
    },
  },

  kerple: {
    model: kerple,
    written: (feeds) => {
      const [a, c] = [reader(named(feeds, "log_a")), reader(named(feeds, "log_c"))];
      return {
        mask: causal,
        score: (s, _b, h, q, k) => s - Math.exp(a(h)) * Math.log1p(Math.exp(c(h)) * (q - k)),
      };
    },
  },

  "scalable-softmax": {
    model: scalableSoftmax,
    written: (feeds) => {
      const scale = reader(named(feeds, "scale"));
      return { mask: causal, score: (s, _b, h, q) => Math.log((q + 1) ** (s * scale(h))) };
    },
  },

  gaussian: {
    model: gaussian,
    written: (feeds) => {
      const width = reader(named(feeds, "log_width"));
      return { score: (s, _b, h, q, k) => s - ((q - k) / Math.exp(width(h))) ** 2 / 2 };
    },
  },

  "adaptive-span": {
    model: adaptiveSpan,
    settings: { longest: 30, ramp: 4 },
    written: (feeds) => {
      const span = reader(named(feeds, "span"));
      const reach = (h: number) => 30 * Math.min(1, Math.max(0, span(h)));
      return {
        mask: (_b, h, q, k) => k <= q && q - k < reach(h) + 4,
        score: (s, _b, h, q, k) => {
          const behind = q - k - reach(h);
          return behind <= 0 ? s : Math.log(Math.exp(s) * (1 - behind / 4));
        },
      };
    },
  },

  forgetting: {
    model: forgetting,
    written: (feeds) => {
      const gate = reader(named(feeds, "gate"));
      return {
        mask: causal,
        score: (s, b, h, q, k) => {
          let kept = s;
          for (let token = k + 1; token <= q; token++) kept -= Math.log1p(Math.exp(-gate(b, h, token)));
          return kept;
        },
      };
    },
  },

  cosine: {
    model: cosine,
    written: (feeds) => {
      const [query, key, temperature] = ["q", "k", "temperature"].map((name) => reader(named(feeds, name)));
      return {
        scale: 1,
        score: (s, b, h, q, k) => {
          const lengths =
            Math.hypot(...range(8).map((c) => query!(b, h, q, c))) *
            Math.hypot(...range(8).map((c) => key!(b, h, k, c)));
          return s / lengths / Math.max(temperature!(h), 0.01);
        },
      };
    },
  },

  "t5-bias": t5(false),
  "t5-bias, causal": t5(true),

  "guided-attention": {
    model: guidedAttention,
    settings: { g: 0.3 },
    written: (_, { Q, K }) => ({
      // log(1 - W), with the W of the paper.
      score: (s, _b, _h, q, k) => s + Math.log(1 - (1 - Math.exp(-((k / K - q / Q) ** 2) / (2 * 0.3 * 0.3)))),
    }),
  },

  "sigmoid-attention": {
    model: sigmoidAttention,
    written: (_, { K }) => ({
      score: (s) => Math.exp(s - Math.log(K)) / (1 + Math.exp(s - Math.log(K))),
      weights: asTheyAre,
    }),
  },
};

describe.each(Object.entries(variants))("%s", (_, variant) => checkVariant(variant));
