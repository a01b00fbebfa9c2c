import type { MaskFunction, ScoreFunction } from "../../../src/index.ts";
import { and, batchify, causal, documents, or, window } from "./mask-algebra.ts";

/** Masks and scores as the literature writes them, for lengths up to 65; each closed over what it needs. */

const offsets = [0, 10, 11, 40, 70];
const documentOf = Array.from({ length: 70 }, (_, i) => offsets.findLastIndex((start) => start <= i));
const isGlobal = Array.from({ length: 70 }, (_, i) => i % 13 === 0);
const parents = Array.from({ length: 70 }, (_, i) => (i === 0 ? -1 : Math.floor((i - 1) / 2)));
const ancestors = parents.map((_, i) => {
  const row = new Uint8Array(70);
  for (let at = i; at >= 0; at = parents[at]!) row[at] = 1;
  return row;
});
const intervals = [
  { low: 0, high: 20 },
  { low: 5, high: 50 },
];
const lows = intervals.map(({ low }) => low);
const highs = intervals.map(({ high }) => high);
const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

/** NATTEN on a canvas in row-major order. */
const natten =
  (width: number, height: number, kernel: number): MaskFunction =>
  ({ q, k }) => {
    const half = Math.floor(kernel / 2);
    const [qx, qy] = [q % width, Math.floor(q / width)];
    const [kx, ky] = [k % width, Math.floor(k / width)];
    const x = clamp(qx, half, width - 1 - half);
    const y = clamp(qy, half, height - 1 - half);
    return Math.abs(x - kx) <= half && Math.abs(y - ky) <= half;
  };

/** Every second bit of a Z-order index, closed up. */
const everySecond = (x: number) => {
  let out = 0;
  for (let i = 0; i < 4; i++) out |= ((x >> (2 * i)) & 1) << i;
  return out;
};

const reaches = { 0: "narrow", 1: "wide" };
const options: { readonly [name: string]: number } & { readonly also?: (q: number) => boolean } = {
  reach1: 3,
  reach2: 9,
};

export const masks: Readonly<Record<string, MaskFunction>> = {
  causal,
  "sliding window": ({ q, k }) => q - k <= 4 && q >= k,
  "dilated window": ({ q, k }) => Math.abs(q - k) <= 9 && Math.abs(q - k) % 3 === 0,
  longformer: ({ q, k }) => Math.abs(q - k) <= 3 || isGlobal[q]! || isGlobal[k]!,
  "prefix lm": ({ q, k }) => k < 7 || q >= k,
  documents: documents(causal, offsets),
  "packed causal documents": ({ q, k }) => k >= offsets[documentOf[q]!]! && q >= k,
  "shared prefix": ({ q, k }) => {
    const document = documentOf[q]!;
    return (k >= offsets[document]! && q >= k) || (document !== 0 && k < offsets[1]!);
  },
  batchified: batchify(causal, 8),
  "block diffusion": ({ q, k }) => {
    const half = 32;
    const [qNoised, kNoised] = [q < half, k < half];
    const [qBlock, kBlock] = [Math.floor((q % half) / 4), Math.floor((k % half) / 4)];
    if (qBlock === kBlock && qNoised === kNoised) return true;
    if (qNoised && !kNoised) return qBlock > kBlock;
    return !qNoised && !kNoised && qBlock >= kBlock;
  },
  "tree of drafts": ({ q, k }) => k < 5 || (k >= 5 && k < 70 && ancestors[q]![k - 5] === 1),
  "drafts in training": ({ q, k }) => k < 6 || (Math.floor(q / 4) === Math.floor((k - 6) / 4) && (k - 6) % 4 <= q % 4),
  natten: natten(9, 8, 3),
  morton: ({ q, k }) =>
    Math.abs(everySecond(q) - everySecond(k)) <= 1 && Math.abs(everySecond(q >> 1) - everySecond(k >> 1)) <= 1,
  "tiles and text": ({ q, k }) => {
    const text = 60;
    if (q >= text) return true;
    if (k >= text) return true;
    const centre = clamp(Math.floor(q / 6), 1, 8);
    const tile = Math.floor(k / 6);
    return centre - 1 <= tile && tile <= centre + 1;
  },
  "temporal heads": ({ h, q, k }) =>
    h === 0 ? k < 4 || q < 4 || Math.abs((q % 8) - (k % 8)) < 2 : Math.abs(q - k) < Math.floor(30 / 8) * 8,
  "vision cross attention": ({ q, k }) => {
    const image = Math.min(Math.floor(k / 35), 1);
    return lows[image]! <= q && q < highs[image]!;
  },
  strided: ({ q, k }) => k <= q && (q - k < 4 || (q - k) % 4 === 0),
  "union of masks": or(and(causal, window(5)), ({ k }) => k < 2),
  "odd queries see nothing": ({ q, k }) => q % 2 === 0 && k <= q + 1,
  nothing: () => false,
  "by batch and head": ({ b, h, k }) => (b + h) % 2 === 0 || k % (h + 2) === b,
  "bits of distance": ({ q, k }) => ((q ^ k) & 5) === 0 || (q & k) === k || (~q & k) >>> 1 === 3 || q << 1 === k,
  "signs of remainders": ({ q, k }) =>
    (k - q) % 3 === -1 || Math.round((k - q) / 2) === 2 || Math.trunc((k - q) / 4) === 0,
  "loops and lets": ({ q, k }) => {
    let distance = q - k;
    if (distance < 0) distance = -distance;
    let sum = 0;
    for (let i = 1; i <= 3; i++) {
      if (distance === i * i) return true;
      sum += i;
    }
    return distance < sum / 2 && !(q % 5 && k % 7);
  },
  "texts and options known when it is built": ({ h, q, k }) => {
    const reach = options[`reach${reaches[1] === "wide" ? 1 : 2}`] ?? 0;
    return Math.abs(q - k) < reach + h && (options.also?.(q) ?? true);
  },
};

const openings = [0, -Infinity, 0.5];

/** T5's buckets of distances, 8 of them. */
const bucket = (distance: number) => {
  const n = Math.max(distance, 0);
  if (n < 4) return n;
  return Math.min(4 + Math.floor((Math.log(n / 4) / Math.log(16)) * 4), 7);
};
const bucketBias = [0.5, -0.25, 1, 0.125, -1, 0.75, 0.3, -0.6];
const perHead = [
  [0.1, 0.2, 0.3],
  [-0.1, -0.4, 0.9],
];

export const scores: Readonly<Record<string, ScoreFunction>> = {
  alibi: (s, { h, q, k }) => s + (k - q) * 2 ** ((-8 * (h + 1)) / 2),
  "soft cap": (s) => 2 * Math.tanh(s / 2),
  sandwich: (s, { h, q, k }) => {
    let sum = 0;
    for (let i = 0; i < 4; i++) sum += Math.cos((q - k) * 10000 ** ((-2 * i) / 8));
    return s + (sum * 2) / (8 * (h + 1));
  },
  "spatial bias": (s, { h, q, k }) => s + perHead[h]![Math.min(Math.abs(q - k), 2)]!,
  "t5 bias": (s, { q, k }) => s + bucketBias[bucket(q - k)]!,
  "activation instead of softmax": (s) => Math.log(Math.max(s, 0) + 0.5),
  "causal as a score": (s, { q, k }) => (q >= k ? s : -Infinity),
  "window as a score, soft cap": (s, { q, k }) => (Math.abs(q - k) < 4 ? 3 * Math.tanh(s / 3) : -Infinity),
  guided: (s, { q, k }) => s - (1 - Math.exp(-((q / 17 - k / 17) ** 2) / (2 * 0.2 ** 2))),
  "hidden by what it is": (s, { k }) => (s < 0 && k > 2 ? -Infinity : s < -1 ? -Infinity : s),
  "hidden by a logarithm": (s, { q, k }) => s + Math.log((q % 3) * (k % 4)),
  "hidden by the logarithm of the score": (s) => Math.log(Math.max(s, 0)),
  "hidden by a table": (s, { q, k }) => s + openings[(q * 2 + k) % 3]!,
  "rows hidden by a table": (s, { q }) => s + openings[q % 3]!,
  "hidden by a division": (s, { q, k }) => s - 1 / ((q - k) % 4) ** 2,
  "no score at all": (_, { q, k }) => Math.sin(q) * Math.cos(k),
  "conditional bias": (s, { q, k }) => (k > q ? s - 2 : k === q ? s : s - 0.1 * (q - k)),
};

/** Weights after the softmax. */
export const probs: Readonly<Record<string, ScoreFunction>> = {
  dropped: (p, { q, k }) => ((q * 7 + k * 3) % 5 === 0 ? 0 : p * 1.25),
  sharpened: (p) => p * p,
};
