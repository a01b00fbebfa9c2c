import { describe, expect, test } from "vitest";
import causalLinear from "../../models/variants/causal-linear.ts";
import deltaRule from "../../models/variants/delta-rule.ts";
import gatedDeltaRule from "../../models/variants/gated-delta-rule.ts";
import gatedLinearAttention from "../../models/variants/gated-linear-attention.ts";
import linearTransformer from "../../models/variants/linear-transformer.ts";
import linformer from "../../models/variants/linformer.ts";
import performer from "../../models/variants/performer.ts";
import { orthogonalRows } from "../../models/variants/random.ts";
import retnet from "../../models/variants/retnet.ts";
import synthesizer from "../../models/variants/synthesizer.ts";
import synthesizerRandom from "../../models/variants/synthesizer-random.ts";
import { compile } from "../../src/compile.ts";
import { type Feeds, named, reader, softmax } from "./support/reference.ts";
import {
  dot,
  head,
  headOf,
  joined,
  layer,
  type Reading,
  range,
  recurrence,
  sigmoid,
  sum,
  tokens,
  unit,
  type Vectors,
} from "./support/tokens.ts";
import { batch, checkVariant, heads, type Variant } from "./support/variant.ts";

/** Variants of the linear, recurrent and low-rank family, each against loops over its paper's recurrence. */

const d = 8;
const perHead = (head: (b: number, h: number) => Vectors): number[] =>
  range(batch).flatMap((b) => range(heads).flatMap((h) => head(b, h).flat()));

const phi = (x: readonly number[]) => x.map((value) => (value > 0 ? value : Math.exp(value) - 1) + 1);

/** Values with the weights of their keys, over the sum of these. */
const averaged = (weights: readonly number[], values: Vectors) =>
  values[0]!.map((_, c) => sum(weights.map((weight, j) => weight * values[j]![c]!)) / sum(weights));

/** The features of FAVOR+, for one head. */
function favor(xs: Vectors, w: Vectors, largest: (projected: Vectors) => readonly number[]): Vectors {
  const scaled = xs.map((x) => x.map((value) => value / d ** 0.25));
  const projected = scaled.map((x) => w.map((row) => dot(row, x)));
  const tops = largest(projected);
  return projected.map((row, i) =>
    row.map((value) => Math.exp(value - dot(scaled[i]!, scaled[i]!) / 2 - tops[i]!) + 1e-4),
  );
}

/** A block with one recurrence per head between its projections. */
function block(feeds: Feeds, step: (x: readonly number[], t: number, b: number, h: number) => Reading) {
  const o = range(batch).flatMap((b) => {
    const xs = tokens(feeds, "x", b);
    const found = range(heads).map((h) => recurrence(xs.map((x, t) => step(x, t, b, h))));
    return layer(feeds, "o_proj", joined(found)).flat();
  });
  return { o };
}

const one = (feeds: Feeds, name: string, x: readonly number[]) => layer(feeds, name, [x])[0]!;
const part = (x: readonly number[], h: number) => x.slice(h * d, (h + 1) * d);
const silu = (x: readonly number[]) => x.map((value) => value * sigmoid(value));
/** Key, query and value of the delta rules. */
const memory = (feeds: Feeds, x: readonly number[], h: number) => ({
  q: unit(silu(part(one(feeds, "q_proj", x), h))),
  k: unit(silu(part(one(feeds, "k_proj", x), h))),
  v: silu(part(one(feeds, "v_proj", x), h)),
  rate: sigmoid(one(feeds, "b_proj", x)[h]!),
});

/** Pairs (2i, 2i + 1) turned by position · 10000^(-2i/d). */
const turned = (x: readonly number[], position: number) =>
  x.map((value, c) => {
    const angle = position * 10_000 ** (-(c - (c % 2)) / d);
    const other = c % 2 === 0 ? -x[c + 1]! : x[c - 1]!;
    return value * Math.cos(angle) + other * Math.sin(angle);
  });

const variants: Readonly<Record<string, Variant>> = {
  "linear-transformer": {
    model: linearTransformer,
    outputs: (feeds) => ({
      o: perHead((b, h) => {
        const [q, k, v] = ["q", "k", "v"].map((name) => head(feeds, name, b, h)) as [Vectors, Vectors, Vectors];
        return q.map((x) =>
          averaged(
            k.map((y) => dot(phi(x), phi(y))),
            v,
          ),
        );
      }),
    }),
  },

  "causal-linear": {
    model: causalLinear,
    outputs: (feeds) => ({
      o: perHead((b, h) => {
        const [q, k, v] = ["q", "k", "v"].map((name) => head(feeds, name, b, h)) as [Vectors, Vectors, Vectors];
        // The state keeps the sum of the keys' features too: its last column, as the value 1.
        const steps = q.map((x, t) => ({ q: phi(x), k: phi(k[t]!), v: [...v[t]!, 1] }));
        return recurrence(steps).map((found) => found.slice(0, -1).map((value) => value / found.at(-1)!));
      }),
    }),
  },

  "causal-linear, not normalised": {
    model: causalLinear,
    settings: { normalised: false },
    outputs: (feeds) => ({
      o: perHead((b, h) => {
        const [q, k, v] = ["q", "k", "v"].map((name) => head(feeds, name, b, h)) as [Vectors, Vectors, Vectors];
        return recurrence(q.map((x, t) => ({ q: phi(x), k: phi(k[t]!), v: v[t]! })));
      }),
    }),
  },

  performer: {
    model: performer,
    settings: { features: 12 },
    outputs: (feeds) => ({
      o: perHead((b, h) => {
        const [q, k, v] = ["q", "k", "v"].map((name) => head(feeds, name, b, h)) as [Vectors, Vectors, Vectors];
        const w = orthogonalRows(12, d, 1).map((row) => row.map(Math.fround));
        const queries = favor(q, w, (projected) => projected.map((row) => Math.max(...row)));
        const keys = favor(k, w, (projected) =>
          new Array<number>(projected.length).fill(Math.max(...projected.flat())),
        );
        return queries.map((x) =>
          averaged(
            keys.map((y) => dot(x, y)),
            v,
          ),
        );
      }),
    }),
  },

  retnet: {
    model: retnet,
    outputs: (feeds) => ({
      o: range(batch).flatMap((b) => {
        const xs = tokens(feeds, "x", b);
        const found = range(heads).map((h) => {
          const kept = new Array<number>(d).fill(1 - 2 ** (-5 - h));
          const steps = xs.map((x, t) => ({
            q: turned(part(one(feeds, "q_proj", x), h), t).map((value) => value / Math.sqrt(d)),
            k: turned(part(one(feeds, "k_proj", x), h), t),
            v: part(one(feeds, "v_proj", x), h),
            kept,
          }));
          return recurrence(steps).map((y) => y.map((value) => value / Math.sqrt(dot(y, y) / d + 1e-5)));
        });
        const gated = joined(found).map((y, t) => {
          const gate = silu(one(feeds, "g_proj", xs[t]!));
          return y.map((value, i) => value * gate[i]!);
        });
        return layer(feeds, "o_proj", gated).flat();
      }),
    }),
  },

  "gated-linear-attention": {
    model: gatedLinearAttention,
    outputs: (feeds) =>
      block(feeds, (x, _, __, h) => ({
        q: part(one(feeds, "q_proj", x), h).map((value) => value / Math.sqrt(d)),
        k: part(one(feeds, "k_proj", x), h),
        v: part(one(feeds, "v_proj", x), h),
        kept: part(one(feeds, "gate_up", one(feeds, "gate_down", x)), h).map((z) => sigmoid(z) ** (1 / 16)),
      })),
  },

  "delta-rule": { model: deltaRule, outputs: (feeds) => block(feeds, (x, _, __, h) => memory(feeds, x, h)) },

  "gated-delta-rule": {
    model: gatedDeltaRule,
    outputs: (feeds) =>
      block(feeds, (x, _, __, h) => {
        const rate = Math.exp(reader(named(feeds, "a_log"))(h));
        const kept = Math.exp(-rate * Math.log(1 + Math.exp(one(feeds, "a_proj", x)[h]!)));
        return { ...memory(feeds, x, h), kept: new Array<number>(d).fill(kept) };
      }),
  },

  synthesizer: {
    model: synthesizer,
    settings: { longest: 257 },
    fullSize: [1024, 1024],
    outputs: (feeds, { Q }) => ({
      o: range(batch).flatMap((b) => {
        const xs = tokens(feeds, "x", b);
        const hidden = layer(feeds, "hidden", xs).map((x) => x.map((value) => Math.max(value, 0)));
        const scores = layer(feeds, "scores", hidden);
        const v = layer(feeds, "v_proj", xs);
        const found = range(heads).map((h) =>
          scores.map((row) => averaged(softmax(row.slice(h * 257, h * 257 + Q)), headOf(v, h, d))),
        );
        return layer(feeds, "o_proj", joined(found)).flat();
      }),
    }),
  },

  "synthesizer-random": {
    model: synthesizerRandom,
    settings: { longest: 257 },
    fullSize: [1024, 1024],
    outputs: (feeds, { Q }) => ({
      o: range(batch).flatMap((b) => {
        const table = reader(named(feeds, "scores"));
        const v = layer(feeds, "v_proj", tokens(feeds, "x", b));
        const found = range(heads).map((h) =>
          range(Q).map((i) => averaged(softmax(range(Q).map((j) => table(h, i, j))), headOf(v, h, d))),
        );
        return layer(feeds, "o_proj", joined(found)).flat();
      }),
    }),
  },
};

describe.each(Object.entries(variants))("%s", (_, variant) => checkVariant(variant));

describe.each([1, 15, 17, 33, 65, 257])("linformer of length %i", (length) =>
  checkVariant({
    model: linformer,
    settings: { length, rank: 5 },
    lengths: [[length, length]],
    outputs: (feeds) => ({
      o: perHead((b, h) => {
        const [q, k, v] = ["q", "k", "v"].map((name) => head(feeds, name, b, h)) as [Vectors, Vectors, Vectors];
        const shortened = (xs: Vectors, name: string) => {
          const at = reader(named(feeds, name));
          return range(5).map((r) => range(d).map((c) => sum(xs.map((x, n) => at(r, n) * x[c]!))));
        };
        const keys = shortened(k, "e_proj");
        const values = shortened(v, "f_proj");
        return q.map((x) => averaged(softmax(keys.map((y) => dot(x, y) / Math.sqrt(d))), values));
      }),
    }),
  }),
);

describe("random features", () => {
  test("are orthogonal in blocks, and the same for a seed", () => {
    const rows = orthogonalRows(20, 8, 3);
    for (const i of range(20))
      for (const j of range(i))
        if (Math.floor(i / 8) === Math.floor(j / 8)) expect(Math.abs(dot(rows[i]!, rows[j]!))).toBeLessThan(1e-9);
    expect(orthogonalRows(20, 8, 3)).toEqual(rows);
    expect(orthogonalRows(20, 8, 4)).not.toEqual(rows);
  });

  test("many of them come close to the softmax kernel", () => {
    const w = orthogonalRows(4096, 8, 1);
    const [x, y] = [range(8).map((i) => Math.sin(i) / 4), range(8).map((i) => Math.cos(i) / 4)];
    const feature = (z: readonly number[]) => w.map((row) => Math.exp(dot(row, z) - dot(z, z) / 2));
    expect(dot(feature(x), feature(y)) / 4096 / Math.exp(dot(x, y))).toBeCloseTo(1, 1);
  });
});

/** What the compiler makes of them: see also the golden files of `linearise`. */
describe("is found", () => {
  const fired = async (model: Parameters<typeof compile>[0], seq: number) => {
    const { steps, graph } = await compile(model, { dims: new Map([["seq", seq]]) });
    const tally = steps.find(({ pass }) => pass.name === "linearise")!.tally;
    return {
      rules: [...tally.fired.keys()],
      reasons: [...tally.refused.values()].flatMap((r) => [...r.keys()]),
      graph,
    };
  };
  test.each([
    ["linear-transformer", linearTransformer, "linear-attention"],
    ["performer", performer, "linear-attention"],
    ["causal-linear", causalLinear, "chunk-attention"],
    ["retnet", retnet, "chunk-attention"],
    ["gated-linear-attention", gatedLinearAttention, "chunk-recurrence"],
    ["delta-rule", deltaRule, "chunk-recurrence"],
    ["gated-delta-rule", gatedDeltaRule, "chunk-recurrence"],
  ] as const)("%s", async (_, model, rule) => {
    expect((await fired(model, 1024)).rules).toEqual([rule]);
  });

  test("without the normaliser, once: what chunks are made of is left alone", async () => {
    const plain = { build: () => causalLinear.build({ normalised: false }) };
    expect((await fired(plain, 1024)).rules).toEqual(["chunk-attention"]);
  });

  test("at a short length it is not worth it", async () => {
    expect((await fired(causalLinear, 128)).reasons).toEqual(["the length 128 is at most 128"]);
  });
});
