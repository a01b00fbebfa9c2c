import { describe } from "vitest";
import moba from "../../models/variants/moba.ts";
import nsa from "../../models/variants/nsa.ts";
import vsa from "../../models/variants/vsa.ts";
import { toFloat64 } from "../../src/ir/tensor.ts";
import { type Feeds, named } from "./support/reference.ts";
import {
  dot,
  largest,
  perHead,
  plus,
  type Rows,
  range,
  rowsAt,
  scaled,
  type Vector,
  weighted,
  zeros,
} from "./support/selection.ts";
import { batch, checkVariant, heads, type Lengths, type Variant } from "./support/variant.ts";

const d = 8;

interface Mixture {
  readonly block: number;
  readonly top: number;
}

/** Query by query: gates of past blocks, then the keys of those chosen. */
function mixed(feeds: Feeds, { Q }: Lengths, { block, top }: Mixture): number[] {
  return perHead(batch, heads, (b, h) => {
    const [q, k, v] = ["q", "k", "v"].map((name) => rowsAt(named(feeds, name), b, h));
    return range(Q).map((i) => {
      const own = Math.floor(i / block);
      const gates = range(own).map((n) => {
        const total = range(block, n * block).reduce((sum, j) => plus(sum, k![j]!), zeros(d));
        return dot(q![i]!, scaled(total, 1 / block));
      });
      const chosen = new Set([own, ...largest(gates, Math.min(top - 1, own))]);
      const seen = range(i + 1).filter((j) => chosen.has(Math.floor(j / block)));
      return weighted(
        seen.map((j) => dot(q![i]!, k![j]!) / Math.sqrt(d)),
        seen.map((j) => v![j]!),
        d,
      );
    });
  });
}

const mobaOf = (settings: Mixture): Variant => ({
  model: moba,
  settings: { ...settings },
  outputs: (feeds, lengths) => ({ o: mixed(feeds, lengths, settings) }),
});

interface Native {
  readonly kvHeads: number;
  readonly compress: number;
  readonly stride: number;
  readonly select: number;
  readonly top: number;
  readonly window: number;
}

/** Query by query, equations 5 to 12 of the paper. */
function native(feeds: Feeds, { Q }: Lengths, all: Native): number[] {
  const { kvHeads, compress, stride, select, top, window } = all;
  const relu = (x: Vector) => x.map((y) => Math.max(0, y));
  const linear = (x: Vector, name: string) => {
    const product = rowsAt(named(feeds, `${name}.weight`)).map((row) => dot(row, x));
    return feeds.has(`${name}.bias`) ? plus(product, [...toFloat64(named(feeds, `${name}.bias`))]) : product;
  };
  const width = heads * d;
  return range(batch).flatMap((b) => {
    const x = rowsAt(named(feeds, "x"), b);
    const projected = (name: string) => x.map((row) => linear(row, name));
    const headOf = (rows: Rows, h: number) => rows.map((row) => row.slice(h * d, (h + 1) * d));
    const [queries, gates] = [projected("q_proj"), projected("gate_proj")];
    const branches = ["compress", "select", "window"].map((name) =>
      ["k_proj", "v_proj"].map((part) => projected(`${name}.${part}`)),
    );
    const out = range(Q).map(() => [...zeros(width)]);
    for (const g of range(kvHeads)) {
      const ofGroup = range(heads / kvHeads).map((m) => (g * heads) / kvHeads + m);
      const [coarse, fine, near] = branches.map((kv) => kv.map((rows) => headOf(rows, g)));
      const starts = range(Q).filter((i) => i % stride === 0 && i + compress <= Q);
      const [keys, values] = coarse!.map((rows, part) => {
        const positions = rowsAt(named(feeds, `compress.${"kv"[part]}.positions`));
        return starts.map((start) => {
          const flat = range(compress).flatMap((t) => plus(rows[start + t]!, positions[t]!));
          return linear(relu(linear(flat, `compress.${"kv"[part]}.in`)), `compress.${"kv"[part]}.out`);
        });
      });
      for (const i of range(Q)) {
        const past = range(starts.length).filter((n) => starts[n]! + compress - 1 <= i);
        const importance = zeros(Math.floor(i / select) + 1) as number[];
        for (const h of ofGroup) {
          const q = queries[i]!.slice(h * d, (h + 1) * d);
          const scores = past.map((n) => dot(q, keys![n]!) / Math.sqrt(d));
          const tops = Math.max(...scores);
          const total = scores.reduce((sum, score) => sum + Math.exp(score - tops), 0);
          for (const n of past)
            for (const t of range(compress / stride)) {
              const block = Math.floor((starts[n]! + t * stride) / select);
              if (block < importance.length) importance[block]! += Math.exp(scores[past.indexOf(n)]! - tops) / total;
            }
        }
        const own = importance.length - 1;
        const always = [...new Set([0, own - 1, own])].filter((n) => n >= 0);
        const others = range(own + 1).filter((n) => !always.includes(n));
        const ranked = largest(
          others.map((n) => importance[n]!),
          Math.min(top - always.length, others.length),
        );
        const chosen = new Set([...always, ...ranked.map((at) => others[at]!)]);
        for (const h of ofGroup) {
          const q = queries[i]!.slice(h * d, (h + 1) * d);
          const attend = (k: Rows, v: Rows, seen: readonly number[]) =>
            seen.length === 0
              ? zeros(d)
              : weighted(
                  seen.map((j) => dot(q, k[j]!) / Math.sqrt(d)),
                  seen.map((j) => v[j]!),
                  d,
                );
          const before = range(i + 1);
          const found = [
            attend(keys!, values!, past),
            attend(
              fine![0]!,
              fine![1]!,
              before.filter((j) => chosen.has(Math.floor(j / select))),
            ),
            attend(
              near![0]!,
              near![1]!,
              before.filter((j) => i - j < window),
            ),
          ];
          const total = found.reduce(
            (sum, part, c) => plus(sum, scaled(part, 1 / (1 + Math.exp(-gates[i]![c * heads + h]!)))),
            zeros(d),
          );
          for (const e of range(d)) out[i]![h * d + e] = total[e]!;
        }
      }
    }
    return out.flat();
  });
}

const nsaOf = (settings: Partial<Native>): Variant => {
  const all: Native = { kvHeads: 1, compress: 8, stride: 4, select: 8, top: 4, window: 6, ...settings };
  return { model: nsa, settings: { ...all }, outputs: (feeds, lengths) => ({ o: native(feeds, lengths, all) }) };
};

interface Tiling {
  readonly tile: number;
  readonly top: number;
}

/** Tile by tile. */
function tiled(feeds: Feeds, { Q }: Lengths, { tile, top }: Tiling): number[] {
  const tiles = range(Math.ceil(Q / tile)).map((n) => range(tile, n * tile).filter((i) => i < Q));
  return perHead(batch, heads, (b, h) => {
    const [q, k, v, coarse, fine] = ["q", "k", "v", "coarse_gate", "fine_gate"].map((name) =>
      rowsAt(named(feeds, name), b, h),
    );
    const means = [q!, k!, v!].map((rows) =>
      tiles.map((at) =>
        scaled(
          at.reduce((sum, i) => plus(sum, rows[i]!), zeros(d)),
          1 / at.length,
        ),
      ),
    );
    return range(Q).map((i) => {
      const query = means[0]![Math.floor(i / tile)]!;
      const scores = means[1]!.map((key) => dot(query, key) / Math.sqrt(d));
      const seen = largest(scores, Math.min(top, tiles.length)).flatMap((n) => tiles[n]!);
      const found = weighted(
        seen.map((j) => dot(q![i]!, k![j]!) / Math.sqrt(d)),
        seen.map((j) => v![j]!),
        d,
      );
      const around = weighted(scores, means[2]!, d);
      return found.map((x, e) => fine![i]![e]! * x + coarse![i]![e]! * around[e]!);
    });
  });
}

const vsaOf = (settings: Tiling): Variant => ({
  model: vsa,
  settings: { ...settings },
  outputs: (feeds, lengths) => ({ o: tiled(feeds, lengths, settings) }),
});

const variants: Readonly<Record<string, Variant>> = {
  moba: mobaOf({ block: 8, top: 3 }),
  "moba of odd blocks": mobaOf({ block: 5, top: 6 }),
  "moba of its own block": mobaOf({ block: 16, top: 1 }),
  nsa: nsaOf({}),
  "nsa of heads with keys of their own": nsaOf({ kvHeads: 2, compress: 9, stride: 3, select: 12, top: 5, window: 1 }),
  vsa: vsaOf({ tile: 8, top: 3 }),
  "vsa of odd tiles": vsaOf({ tile: 5, top: 7 }),
};

describe.each(Object.entries(variants))("%s", (_, variant) => checkVariant(variant));
