import { describe, expect, test } from "vitest";
import { Arena } from "../../src/ir/arena.ts";
import { evaluateValues } from "../../src/ir/evaluate.ts";
import type { Value } from "../../src/ir/graph.ts";
import type { RefTensor } from "../../src/ir/op-def.ts";
import { erf } from "../../src/ir/reference/special.ts";
import { typeOf, valuesOf } from "./support/types.ts";

type Given = readonly (readonly [type: string, tensor: RefTensor])[];

/** Runs one op on f64 tensors. */
function run(given: Given, make: (b: Arena["build"], xs: readonly Value[]) => Value): RefTensor {
  const { build } = new Arena();
  const xs = given.map(([type], i) => build.input({ name: `x${i}`, ...typeOf(type) }));
  return evaluateValues([make(build, xs)], { inputs: new Map(xs.map((x, i) => [x, given[i]![1]])) })[0]!;
}

const f64 = (seed: number, ...dims: number[]) => [`f64[${dims.join(", ")}]`, valuesOf("f64", dims, seed)] as const;
const bool = (dims: number[], at: (...index: number[]) => boolean) => {
  const data = new Float64Array(dims.reduce((a, b) => a * b, 1));
  for (let i = 0; i < data.length; i++) {
    let rest = i;
    const index = dims.toReversed().map((dim) => {
      const here = rest % dim;
      rest = (rest - here) / dim;
      return here;
    });
    data[i] = Number(at(...index.toReversed()));
  }
  return [`bool[${dims.join(", ")}]`, { dims, data }] as const;
};

function close(actual: ArrayLike<number>, expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++)
    expect(Math.abs(actual[i]! - expected[i]!), `element ${i}: ${actual[i]} for ${expected[i]}`).toBeLessThan(1e-12);
}

const lengths = [1, 15, 17, 31, 33, 64, 65];

test("erf, against values to 16 digits", () => {
  const table: readonly (readonly [number, number])[] = [
    [0, 0],
    [0.1, 0.1124629160182849],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [2, 0.9953222650189527],
    [1.5, 0.9661051464753108],
    [2.5, 0.999593047982555],
    [3, 0.9999779095030014],
    [4, 0.9999999845827421],
    [6, 1],
    [40, 1],
  ];
  for (const [x, y] of table) {
    expect(Math.abs(erf(x) - y)).toBeLessThan(5e-16);
    expect(erf(-x)).toBe(-erf(x));
  }
  expect(erf(Number.NaN)).toBeNaN();
  expect(erf(Number.POSITIVE_INFINITY)).toBe(1);
});

test("erf does not jump where its two formulas meet", () => {
  expect(Math.abs(erf(1.5) - erf(1.5 + 2 ** -50))).toBeLessThan(5e-16);
});

describe.each(lengths)("rows of %i", (n) => {
  const [type, x] = f64(n, 3, n);

  test("softmax and logSoftmax", () => {
    const expected: number[] = [];
    for (let row = 0; row < 3; row++) {
      let total = 0;
      for (let i = 0; i < n; i++) total += Math.exp(x.data[row * n + i]!);
      for (let i = 0; i < n; i++) expected.push(Math.exp(x.data[row * n + i]!) / total);
    }
    close(run([[type, x]], (b, [v]) => b.softmax(v!)).data, expected);
    close(run([[type, x]], (b, [v]) => b.logSoftmax(v!)).data, expected.map(Math.log));
  });

  test("softmax neither overflows nor forgets its axis", () => {
    const large = { dims: [n, 2], data: Float64Array.from({ length: 2 * n }, (_, i) => 1e4 + (i % 2)) };
    const out = run([[`f64[${n}, 2]`, large]], (b, [v]) => b.softmax(v!, { axis: 0 }));
    close(out.data, new Array<number>(2 * n).fill(1 / n));
  });

  test("layerNorm and rmsNorm", () => {
    const [scale, bias] = [f64(5, n), f64(6, n)];
    const layer: number[] = [];
    const rms: number[] = [];
    for (let row = 0; row < 3; row++) {
      const xs = [...x.data.subarray(row * n, (row + 1) * n)];
      const mean = xs.reduce((a, b) => a + b, 0) / n;
      const variance = xs.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
      const square = xs.reduce((a, b) => a + b * b, 0) / n;
      xs.forEach((value, i) => {
        layer.push(((value - mean) / Math.sqrt(variance + 1e-3)) * scale[1].data[i]! + bias[1].data[i]!);
        rms.push((value / Math.sqrt(square + 1e-3)) * scale[1].data[i]!);
      });
    }
    const epsilon = 1e-3;
    close(run([[type, x], scale, bias], (b, [v, s, o]) => b.layerNorm(v!, s!, o!, { epsilon })).data, layer);
    close(run([[type, x], scale], (b, [v, s]) => b.rmsNorm(v!, s!, { epsilon })).data, rms);
  });

  test("gelu, silu, relu", () => {
    const map = (f: (value: number) => number) => Array.from(x.data, f);
    const phi = (value: number) => 0.5 * (1 + erf(value / Math.sqrt(2)));
    const tanh = (v: number) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
    close(
      run([[type, x]], (b, [v]) => b.gelu(v!)).data,
      map((value) => value * phi(value)),
    );
    close(run([[type, x]], (b, [v]) => b.gelu(v!, { approximate: "tanh" })).data, map(tanh));
    close(
      run([[type, x]], (b, [v]) => b.silu(v!)).data,
      map((value) => value / (1 + Math.exp(-value))),
    );
    close(
      run([[type, x]], (b, [v]) => b.relu(v!)).data,
      map((value) => Math.max(value, 0)),
    );
  });
});

test.each([false, true])("rope turns pairs by their angle, interleaved: %s", (interleaved) => {
  const [length, width] = [17, 6];
  const half = width / 2;
  const x = f64(8, 1, 2, length, width);
  const angle = (p: number, i: number) => p / 100 ** (i / half);
  const table = (f: (angle: number) => number) =>
    [
      `f64[${length}, ${half}]`,
      {
        dims: [length, half],
        data: Float64Array.from({ length: length * half }, (_, i) => f(angle(Math.floor(i / half), i % half))),
      },
    ] as const;
  const expected = [...x[1].data];
  for (let head = 0; head < 2; head++)
    for (let p = 0; p < length; p++)
      for (let i = 0; i < half; i++) {
        const row = (head * length + p) * width;
        const [a, b] = interleaved ? [row + 2 * i, row + 2 * i + 1] : [row + i, row + half + i];
        const [u, v] = [x[1].data[a]!, x[1].data[b]!];
        expected[a] = u * Math.cos(angle(p, i)) - v * Math.sin(angle(p, i));
        expected[b] = v * Math.cos(angle(p, i)) + u * Math.sin(angle(p, i));
      }
  const out = run([x, table(Math.cos), table(Math.sin)], (b, [v, cos, sin]) => b.rope(v!, cos!, sin!, { interleaved }));
  close(out.data, expected);
});

interface Case {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly causal?: boolean;
  readonly mask?: (q: number, k: number) => boolean;
  readonly bias?: boolean;
  readonly plain?: boolean;
}

/** Attention by loops over single numbers. */
function attentionByHand(c: Case, q: RefTensor, k: RefTensor, v: RefTensor, bias: RefTensor, scale: number): number[] {
  const [width, valueWidth] = [4, 3];
  const out: number[] = [];
  for (let b = 0; b < c.batch; b++)
    for (let h = 0; h < c.heads; h++)
      for (let i = 0; i < c.queries; i++) {
        const kv = b * c.kvHeads + Math.floor((h * c.kvHeads) / c.heads);
        const seen: (readonly [key: number, score: number])[] = [];
        for (let j = 0; j < c.keys; j++) {
          if ((c.causal && j > i) || (c.mask && !c.mask(i, j))) continue;
          let score = 0;
          for (let d = 0; d < width; d++)
            score += q.data[((b * c.heads + h) * c.queries + i) * width + d]! * k.data[(kv * c.keys + j) * width + d]!;
          seen.push([j, score * scale + (c.bias ? bias.data[i * c.keys + j]! : 0)]);
        }
        const total = c.plain ? 1 : seen.reduce((sum, [, score]) => sum + Math.exp(score), 0);
        for (let d = 0; d < valueWidth; d++) {
          let sum = 0;
          for (const [j, score] of seen)
            sum += ((c.plain ? score : Math.exp(score)) / total) * v.data[(kv * c.keys + j) * valueWidth + d]!;
          out.push(sum);
        }
      }
  return out;
}

const base: Case = { batch: 2, heads: 3, kvHeads: 3, queries: 15, keys: 15 };
const cases: Readonly<Record<string, Case>> = {
  "as in the paper": base,
  "one query, one key": { ...base, queries: 1, keys: 1 },
  "more keys than queries": { ...base, keys: 17 },
  causal: { ...base, causal: true },
  "causal, more keys than queries": { ...base, keys: 33, causal: true },
  "causal, more queries than keys": { ...base, queries: 33, causal: true },
  "a mask": { ...base, keys: 17, mask: (q, k) => (q * 7 + k * 3) % 4 > 0 },
  "rows that see nothing": { ...base, mask: (q, k) => q % 2 === 0 && k < 5 },
  "rows that see nothing because of both masks": { ...base, causal: true, mask: (_, k) => k > 3 },
  "nothing seen at all": { ...base, mask: () => false },
  "a bias": { ...base, bias: true },
  "mask, bias and causal": { ...base, keys: 31, bias: true, causal: true, mask: (q, k) => (q + k) % 3 > 0 },
  "two query heads to a key head": { ...base, heads: 4, kvHeads: 2, causal: true },
  "all query heads to one key head": { ...base, heads: 5, kvHeads: 1, mask: (_, k) => k !== 2 },
  "no normaliser": { ...base, plain: true },
  "no normaliser, masked, in groups": { ...base, heads: 6, kvHeads: 2, plain: true, causal: true, mask: (q) => q > 2 },
  "no queries": { ...base, queries: 0 },
  "no keys": { ...base, keys: 0 },
  "no keys, masked": { ...base, keys: 0, mask: () => true },
  "an empty batch": { ...base, batch: 0 },
};

describe("attention", () => {
  test.each(Object.entries(cases))("%s", (_, c) => {
    const q = f64(1, c.batch, c.heads, c.queries, 4);
    const k = f64(2, c.batch, c.kvHeads, c.keys, 4);
    const v = f64(3, c.batch, c.kvHeads, c.keys, 3);
    const bias = f64(4, 1, 1, c.queries, c.keys);
    const mask = bool([1, 1, c.queries, c.keys], (_b, _h, i, j) => !c.mask || c.mask(i!, j!));
    const extras = [...(c.mask ? [mask] : []), ...(c.bias ? [bias] : [])];
    const attrs = { scale: 0.3, causal: c.causal ?? false, normaliser: c.plain ? "none" : "softmax" };
    const out = run([q, k, v, ...extras], (b, [x, y, z, ...rest]) => b.attention(x!, y!, z!, ...rest, attrs));
    expect(out.dims).toEqual([c.batch, c.heads, c.queries, 3]);
    close(out.data, attentionByHand(c, q[1], k[1], v[1], bias[1], 0.3));
  });

  test("packed heads are the same attention", () => {
    const [batch, length, heads, kvHeads, width] = [2, 17, 4, 2, 3];
    const packed = [
      f64(1, batch, length, heads * width),
      f64(2, batch, length, kvHeads * width),
      f64(3, batch, length, kvHeads * width),
    ];
    const attrs = { scale: 0.3, causal: true };
    const one = run(packed, (b, [q, k, v]) => b.packedAttention(q!, k!, v!, { heads, kvHeads, ...attrs }));
    const apart = run(packed, (b, xs) => {
      const [q, k, v] = xs.map((x, i) => {
        const shape = [batch, length, i === 0 ? heads : kvHeads, width];
        return b.transpose(b.reshape(x, { shape }), { perm: [0, 2, 1, 3] });
      });
      const out = b.transpose(b.attention(q!, k!, v!, attrs), { perm: [0, 2, 1, 3] });
      return b.reshape(out, { shape: [batch, length, heads * width] });
    });
    close(one.data, [...apart.data]);
  });

  test("fully masked rows are zero in every float type's decomposition", () => {
    for (const dtype of ["f64", "f32", "f16", "bf16"]) {
      const x = [`${dtype}[1, 1, 3, 4]`, valuesOf("f64", [1, 1, 3, 4], 1)] as const;
      const out = run([x, bool([1, 1, 1, 3], () => false)], (b, [v, m]) => b.attention(v!, v!, v!, m!, { scale: 1 }));
      expect([...out.data]).toEqual(new Array(12).fill(0));
    }
  });
});

describe("contract", () => {
  test.each(lengths)("matrix product with inner size %i", (n) => {
    const [x, y] = [f64(1, 3, n), f64(2, n, 5)];
    const expected: number[] = [];
    for (let i = 0; i < 3; i++)
      for (let j = 0; j < 5; j++) {
        let sum = 0;
        for (let k = 0; k < n; k++) sum += x[1].data[i * n + k]! * y[1].data[k * 5 + j]!;
        expected.push(sum);
      }
    close(run([x, y], (b, [u, v]) => b.contract(u!, v!, { spec: "i k, k j -> i j" })).data, expected);
  });

  test("three operands, a diagonal and a sum, against four loops", () => {
    const [x, y, z] = [f64(1, 3, 3), f64(2, 3, 4), f64(3, 4, 5)];
    const expected: number[] = [];
    for (let l = 0; l < 5; l++)
      for (let i = 0; i < 3; i++) {
        let sum = 0;
        for (let k = 0; k < 4; k++) sum += x[1].data[i * 3 + i]! * y[1].data[i * 4 + k]! * z[1].data[k * 5 + l]!;
        expected.push(sum);
      }
    close(run([x, y, z], (b, [u, v, w]) => b.contract(u!, v!, w!, { spec: "i i, i k, k l -> l i" })).data, expected);
  });
});

test("round is to even, integer division truncates, mod has the sign of its divisor", () => {
  const x = ["f64[6]", { dims: [6], data: Float64Array.of(0.5, 1.5, 2.5, -0.5, -1.5, 2.4) }] as const;
  expect([...run([x], (b, [v]) => b.round(v!)).data].map((v) => v + 0)).toEqual([0, 2, 2, 0, -2, 2]);
  const i = ["i32[4]", { dims: [4], data: Float64Array.of(7, -7, 7, -7) }] as const;
  const j = ["i32[4]", { dims: [4], data: Float64Array.of(2, 2, -2, -2) }] as const;
  expect([...run([i, j], (b, [u, v]) => b.div(u!, v!)).data]).toEqual([3, -3, -3, 3]);
  expect([...run([i, j], (b, [u, v]) => b.mod(u!, v!)).data]).toEqual([1, 1, -1, -1]);
});

test("gather counts negative indices from the end, and shows indices outside", () => {
  const x = ["f64[3]", { dims: [3], data: Float64Array.of(10, 20, 30) }] as const;
  const at = ["i64[4]", { dims: [4], data: Float64Array.of(0, -1, 3, -4) }] as const;
  expect([...run([x, at], (b, [v, i]) => b.gather(v!, i!)).data]).toEqual([10, 30, Number.NaN, Number.NaN]);
  const table = ["f64[2, 2]", { dims: [2, 2], data: Float64Array.of(1, 2, 3, 4) }] as const;
  const row = ["i64[1]", { dims: [1], data: Float64Array.of(2) }] as const;
  expect([...run([table, row], (b, [v, i]) => b.gather(v!, i!, { axis: 1 })).data]).toEqual([Number.NaN, Number.NaN]);
});
