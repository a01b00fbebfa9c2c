import type { HostTensor } from "../../../src/index.ts";
import { toFloat64 } from "../../../src/ir/tensor.ts";

/** One score: batch, query head, query, key. */
type At = readonly [b: number, h: number, q: number, k: number];

/** What an attention is, written down once more: nothing here is read by the compiler. */
export interface Written {
  readonly mask?: (...at: At) => boolean;
  readonly score?: (s: number, ...at: At) => number;
  /** Weights from the scores of the keys a query sees; softmax by default. */
  readonly weights?: (scores: readonly number[], h: number) => readonly number[];
  /** Factor of q · k; 1/√d by default. */
  readonly scale?: number;
}

export type Feeds = ReadonlyMap<string, HostTensor>;

/** A tensor as a function of its indices. */
export function reader(x: HostTensor): (...at: readonly number[]) => number {
  const data = toFloat64(x);
  return (...at) => data[at.reduce((flat, i, axis) => flat * x.dims[axis]! + i, 0)]!;
}

export const named = (feeds: Feeds, name: string): HostTensor => {
  const x = feeds.get(name);
  if (!x) throw new Error(`there is no ${name}`);
  return x;
};

export function softmax(scores: readonly number[]): readonly number[] {
  const top = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - top));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

/** Attention in float64, key by key: q [B, H, Q, d], k [B, H, K, d], v [B, H, K, e] to [B, H, Q, e]. */
export function attentionOf(q: HostTensor, k: HostTensor, v: HostTensor, written: Written): Float64Array {
  const { mask = () => true, score = (s) => s, weights = softmax } = written;
  const [B, H, Q, d] = q.dims as [number, number, number, number];
  const [K, e] = [k.dims[2]!, v.dims[3]!];
  const { scale = 1 / Math.sqrt(d) } = written;
  const [x, y, z] = [toFloat64(q), toFloat64(k), toFloat64(v)];
  const out = new Float64Array(B * H * Q * e);
  for (let bh = 0; bh < B * H; bh++) {
    const [b, h] = [Math.floor(bh / H), bh % H];
    for (let i = 0; i < Q; i++) {
      const seen: number[] = [];
      for (let j = 0; j < K; j++) if (mask(b, h, i, j)) seen.push(j);
      const scores = seen.map((j) => {
        let dot = 0;
        for (let c = 0; c < d; c++) dot += x[(bh * Q + i) * d + c]! * y[(bh * K + j) * d + c]!;
        return score(dot * scale, b, h, i, j);
      });
      weights(scores, h).forEach((weight, n) => {
        for (let c = 0; c < e; c++) out[(bh * Q + i) * e + c]! += weight * z[(bh * K + seen[n]!) * e + c]!;
      });
    }
  }
  return out;
}
