import { describe, expect, test } from "vitest";
import encoder from "../models/encoder.ts";
import linearAttention from "../models/linear-attention.ts";
import minilm from "../models/minilm.ts";
import mla from "../models/mla.ts";
import multiHead from "../models/multi-head.ts";
import positional from "../models/positional.ts";
import selfAttention from "../models/self-attention.ts";
import type { Built } from "../src/dsl/model.ts";
import { evaluateGraph } from "../src/ir/evaluate.ts";
import { nodesOf } from "../src/ir/graph.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../src/ir/tensor.ts";
import { verifyGraph } from "../src/ir/verify.ts";

/** The models against loops written down from the papers: matrices are lists of rows. */
type Matrix = number[][];

let state = 1;
function random(): number {
  state = (state * 48271) % 2147483647;
  return state / 2147483647 - 0.5;
}
const f32 = (dims: number[]) =>
  fromNumbers("f32", dims, Array.from({ length: dims.reduce((a, b) => a * b, 1) }, random));
const i64 = (dims: number[], values: number[]) => fromNumbers("i64", dims, values);

class Weights {
  readonly tensors = new Map<string, HostTensor>();
  constructor({ graph }: Built) {
    for (const { op, attrs } of nodesOf(graph))
      if (op === "param") this.tensors.set(String(attrs.get("name")), f32(attrs.get("shape") as number[]));
  }
  read(name: string): HostTensor {
    return this.tensors.get(name)!;
  }
  vector(name: string): number[] {
    return [...toFloat64(this.read(name))];
  }
  matrix(name: string): Matrix {
    return rowsOf(this.read(name));
  }
}

const rowsOf = (x: HostTensor, at = 0, rows = x.dims.at(-2)!, columns = x.dims.at(-1)!): Matrix => {
  const data = toFloat64(x);
  return Array.from({ length: rows }, (_, i) =>
    Array.from({ length: columns }, (_, j) => data[(at * rows + i) * columns + j]!),
  );
};

function evaluate(built: Built, weights: Weights, feeds: Record<string, HostTensor>): Map<string, number[]> {
  verifyGraph(built.graph);
  const out = evaluateGraph(built.graph, new Map(Object.entries(feeds)), { weights });
  return new Map([...out].map(([name, { data }]) => [name, [...data]]));
}

function close(actual: number[] | undefined, expected: number[]): void {
  expect(actual).toHaveLength(expected.length);
  const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - actual![i]!)), 0);
  // Constants of the graph (1/√d, ε) are f32 numbers; everything else is float64.
  expect(worst).toBeLessThan(1e-7);
}

const times = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((total, x, k) => total + x * b[k]![j]!, 0)));
const flip = (a: Matrix): Matrix => a[0]!.map((_, j) => a.map((row) => row[j]!));
const plus = (a: Matrix, b: Matrix): Matrix => a.map((row, i) => row.map((x, j) => x + b[i]![j]!));
const scaled = (a: Matrix, s: number): Matrix => a.map((row) => row.map((x) => x * s));
const affine = (x: Matrix, w: Weights, name: string): Matrix => {
  const bias = w.tensors.has(`${name}.bias`) ? w.vector(`${name}.bias`) : undefined;
  return times(x, flip(w.matrix(`${name}.weight`))).map((row) => row.map((v, j) => v + (bias?.[j] ?? 0)));
};
const softmaxRow = (row: number[]): number[] => {
  const top = Math.max(...row);
  const e = row.map((x) => Math.exp(x - top));
  const total = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / total);
};
const part = (x: Matrix, from: number, width: number): Matrix => x.map((row) => row.slice(from, from + width));
const beside = (parts: Matrix[]): Matrix => parts[0]!.map((_, i) => parts.flatMap((p) => p[i]!));
const norm = (x: Matrix, w: Weights, name: string, eps: number): Matrix => {
  const [gain, bias] = [w.vector(`${name}.weight`), w.vector(`${name}.bias`)];
  return x.map((row) => {
    const mean = row.reduce((a, b) => a + b, 0) / row.length;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / row.length;
    return row.map((v, j) => ((v - mean) / Math.sqrt(variance + eps)) * gain[j]! + bias[j]!);
  });
};
/** softmax(q kᵀ / √width) v; `sees(i, j)` says whether query i sees key j. */
function attend(q: Matrix, k: Matrix, v: Matrix, sees = (_i: number, _j: number) => true): Matrix {
  const scores = scaled(times(q, flip(k)), 1 / Math.sqrt(q[0]!.length));
  return times(
    scores.map((row, i) => softmaxRow(row.map((x, j) => (sees(i, j) ? x : Number.NEGATIVE_INFINITY)))),
    v,
  );
}
/** Pairs (i, i + d/2), or (2i, 2i + 1), turned by position · theta^(-2i/d). */
function turn(x: Matrix, positions: number[], interleaved = false): Matrix {
  const d = x[0]!.length;
  return x.map((row, r) => {
    const out = [...row];
    for (let i = 0; i < d / 2; i++) {
      const angle = positions[r]! * 10_000 ** ((-2 * i) / d);
      const [a, b] = interleaved ? [2 * i, 2 * i + 1] : [i, i + d / 2];
      out[a!] = row[a!]! * Math.cos(angle) - row[b!]! * Math.sin(angle);
      out[b!] = row[a!]! * Math.sin(angle) + row[b!]! * Math.cos(angle);
    }
    return out;
  });
}
const sinusoids = (n: number, d: number): Matrix =>
  Array.from({ length: n }, (_, p) =>
    Array.from({ length: d }, (_, j) => {
      const angle = p / 10_000 ** ((j - (j % 2)) / d);
      // The reference takes the frequencies as the f32 constants they are.
      return j % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
    }),
  );

describe("self-attention", () => {
  test.each([
    [6, 1],
    [6, 5],
    [17, 33],
  ])("d %i, n %i", (d, n) => {
    const built = selfAttention.build({ d });
    const w = new Weights(built);
    const x = f32([d, n]);
    const rows = flip(rowsOf(x));
    const [q, k, v] = ["wq", "wk", "wv"].map((name) => times(rows, flip(w.matrix(name))));
    close(evaluate(built, w, { x }).get("o"), flip(attend(q!, k!, v!)).flat());
  });
});

test("linear-attention is V (Kᵀ Q)", () => {
  const built = linearAttention.build({ d: 5 });
  const w = new Weights(built);
  const x = f32([5, 7]);
  const [q, k, v] = ["wq", "wk", "wv"].map((name) => times(w.matrix(name), rowsOf(x)));
  close(evaluate(built, w, { x }).get("o"), times(v!, times(flip(k!), q!)).flat());
});

describe("multi-head", () => {
  test.each([
    [4, 4, false],
    [4, 2, true],
    [4, 1, false],
  ])("%i heads over %i, causal %s", (heads, kvHeads, causal) => {
    const d = 8;
    const built = multiHead.build({ d, heads, kvHeads, causal });
    const w = new Weights(built);
    const x = f32([2, 5, d]);
    const width = d / heads;
    const expected = [0, 1].flatMap((batch) => {
      const rows = rowsOf(x, batch);
      const [q, k, v] = ["q_proj", "k_proj", "v_proj"].map((name) => affine(rows, w, name));
      const each = Array.from({ length: heads }, (_, h) => {
        const shared = Math.floor(h / (heads / kvHeads)) * width;
        return attend(
          part(q!, h * width, width),
          part(k!, shared, width),
          part(v!, shared, width),
          (i, j) => !causal || j <= i,
        );
      });
      return affine(beside(each), w, "o_proj").flat();
    });
    close(evaluate(built, w, { x }).get("o"), expected);
  });
});

describe("positional", () => {
  const n = 5;
  const head = (rows: Matrix, w: Weights, ready = (m: Matrix) => m) => {
    const [q, k, v] = ["wq", "wk", "wv"].map((name) => times(rows, w.matrix(name)));
    return flip(attend(ready(q!), ready(k!), v!)).flat();
  };

  test("the index matrix is added where it fits", () => {
    const built = positional.build({ d: 8, tokens: n });
    const w = new Weights(built);
    const x = f32([8, n]);
    const marked = rowsOf(x).map((row, i) => row.map((value, j) => value + (i === j ? j : 0)));
    close(evaluate(built, w, { x }).get("o"), head(flip(marked), w));
  });

  test("the index matrix is stacked above where it does not", () => {
    const built = positional.build({ d: 4, tokens: n });
    const w = new Weights(built);
    const x = f32([4, n]);
    const diagonal = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => (i === j ? j : 0)));
    close(evaluate(built, w, { x }).get("o"), head(flip([...diagonal, ...rowsOf(x)]), w));
  });

  test("learned", () => {
    const built = positional.build({ d: 8, encoding: "learned" });
    const w = new Weights(built);
    const x = f32([8, n]);
    close(evaluate(built, w, { x }).get("o"), head(plus(flip(rowsOf(x)), w.matrix("positions.weight").slice(0, n)), w));
  });

  // Frequencies are f32 constants, so these two agree to f32 precision times the position.
  test.each(["sinusoidal", "rope"])("%s", (encoding) => {
    const built = positional.build({ d: 8, encoding });
    const w = new Weights(built);
    const x = f32([8, n]);
    const rows = flip(rowsOf(x));
    const positions = [...Array(n).keys()];
    const expected =
      encoding === "rope" ? head(rows, w, (m) => turn(m, positions)) : head(plus(rows, sinusoids(n, 8)), w);
    const actual = evaluate(built, w, { x }).get("o")!;
    expected.forEach((value, i) => expect(actual[i]).toBeCloseTo(value, 6));
  });

  test("an unknown encoding is one error", () => {
    expect(() => positional.build({ encoding: "none" })).toThrow(/threw Error: encoding "none"/);
  });
});

test("encoder", () => {
  const settings = { layers: 2, d: 8, heads: 2, ffn: 12, vocab: 11 };
  const built = encoder.build(settings);
  const w = new Weights(built);
  const ids = [3, 0, 10, 3, 7];
  let x = plus(
    scaled(
      ids.map((id) => w.matrix("embedding.weight")[id]!),
      Math.sqrt(8),
    ),
    sinusoids(5, 8),
  );
  for (let layer = 0; layer < 2; layer++) {
    const at = `layer.${layer}.`;
    const [q, k, v] = ["q", "k", "v"].map((name) => affine(x, w, `${at}attention.${name}_proj`));
    const each = [0, 4].map((from) => attend(part(q!, from, 4), part(k!, from, 4), part(v!, from, 4)));
    const middle = norm(plus(x, affine(beside(each), w, `${at}attention.o_proj`)), w, `${at}attention_norm`, 1e-5);
    const hidden = affine(middle, w, `${at}ffn.in`).map((row) => row.map((value) => Math.max(0, value)));
    x = norm(plus(middle, affine(hidden, w, `${at}ffn.out`)), w, `${at}ffn_norm`, 1e-5);
  }
  const actual = evaluate(built, w, { ids: i64([1, 5], ids) }).get("y")!;
  x.flat().forEach((value, i) => expect(actual[i]).toBeCloseTo(value, 5));
});

test("encoder of 12 layers", () => {
  const { graph } = encoder.build({ layers: 12 });
  verifyGraph(graph);
  expect(nodesOf(graph).filter(({ op }) => op === "attention")).toHaveLength(12);
});

test("mla", () => {
  const [d, heads, width, ropeWidth, rank, queryRank] = [10, 3, 4, 2, 5, 6];
  const [fresh, cached] = [2, 7];
  const built = mla.build({ d, heads, width, ropeWidth, rank, queryRank });
  const w = new Weights(built);
  const feeds = {
    h: f32([1, fresh, d]),
    latent: f32([1, cached, rank]),
    k_rope: f32([1, cached, ropeWidth]),
    positions: i64([1, fresh], [5, 6]),
  };
  const gain = w.vector("q_a_norm.weight");
  const queryLatent = times(rowsOf(feeds.h), w.matrix("q_a")).map((row) => {
    const root = Math.sqrt(row.reduce((a, b) => a + b * b, 0) / row.length + 1e-5);
    return row.map((value, j) => (value / root) * gain[j]!);
  });
  /** Head h of a [rank, heads, width] parameter. */
  const headOf = (name: string, h: number) => {
    const { dims } = w.read(name);
    const flat = rowsOf(w.read(name), 0, dims[0]!, dims[1]! * dims[2]!);
    return part(flat, h * dims[2]!, dims[2]!);
  };
  const out = Array.from({ length: heads }, (_, h) => {
    const query = times(queryLatent, headOf("q_b", h));
    const q = beside([part(query, 0, width), turn(part(query, width, ropeWidth), [5, 6], true)]);
    const k = beside([times(rowsOf(feeds.latent), headOf("k_b", h)), rowsOf(feeds.k_rope)]);
    const seen = attend(q, k, times(rowsOf(feeds.latent), headOf("v_b", h)));
    return times(seen, rowsOf(w.read("o"), h));
  }).reduce(plus);
  const actual = evaluate(built, w, feeds).get("o")!;
  out.flat().forEach((value, i) => expect(actual[i]).toBeCloseTo(value, 6));
});

test("minilm", () => {
  const settings = { layers: 2, d: 8, heads: 2, ffn: 12, vocab: 11, positions: 9 };
  const built = minilm.build(settings);
  const w = new Weights(built);
  const [ids, mask, kinds] = [
    [3, 0, 10, 3],
    [1, 1, 1, 0],
    [0, 0, 1, 1],
  ];
  const table = (name: string) => w.matrix(`embeddings.${name}_embeddings.weight`);
  let x = norm(
    ids!.map((id, i) =>
      table("word")[id]!.map((v, j) => v + table("token_type")[kinds![i]!]![j]! + table("position")[i]![j]!),
    ),
    w,
    "embeddings.LayerNorm",
    1e-12,
  );
  for (let layer = 0; layer < 2; layer++) {
    const at = `encoder.layer.${layer}.`;
    const [q, k, v] = ["query", "key", "value"].map((name) => affine(x, w, `${at}attention.self.${name}`));
    const each = [0, 4].map((from) =>
      attend(part(q!, from, 4), part(k!, from, 4), part(v!, from, 4), (_, j) => mask![j] === 1),
    );
    const attended = affine(beside(each), w, `${at}attention.output.dense`);
    const middle = norm(plus(attended, x), w, `${at}attention.output.LayerNorm`, 1e-12);
    const wide = affine(middle, w, `${at}intermediate.dense`).map((row) => row.map(gelu));
    x = norm(plus(affine(wide, w, `${at}output.dense`), middle), w, `${at}output.LayerNorm`, 1e-12);
  }
  const feeds = {
    input_ids: i64([1, 4], ids!),
    attention_mask: i64([1, 4], mask!),
    token_type_ids: i64([1, 4], kinds!),
  };
  const out = evaluate(built, w, feeds);
  close(out.get("last_hidden_state"), x.flat());
  const mean = x[0]!.map((_, j) => (x[0]![j]! + x[1]![j]! + x[2]![j]!) / 3);
  const length = Math.hypot(...mean);
  close(
    out.get("sentence_embedding"),
    mean.map((value) => value / length),
  );
});

/** x · Φ(x) by Simpson's rule over the density. */
function gelu(x: number): number {
  const steps = 2000;
  const density = (t: number) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  let total = density(0) + density(x);
  for (let i = 1; i < steps; i++) total += density((x * i) / steps) * (i % 2 === 0 ? 2 : 4);
  return x * (0.5 + (total * x) / steps / 3);
}
