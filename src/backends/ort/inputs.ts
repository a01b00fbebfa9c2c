import { fail } from "../../ir/diagnostics.ts";
import type { DType } from "../../ir/dtype.ts";
import { elementCount, fromNumbers, type HostTensor } from "../../ir/tensor.ts";

/** How a random input is filled. */
export type Fill =
  /** Gaussian, mean 0 and standard deviation 1 unless said. */
  | { readonly kind: "normal"; readonly mean?: number; readonly std?: number }
  /** Uniform whole numbers from `low` up to, not including, `high`. */
  | { readonly kind: "integers"; readonly low: number; readonly high: number }
  /** Whole numbers along the last axis: `from`, the next one, and so on. */
  | { readonly kind: "positions"; readonly from: number }
  /** Padding mask: along the last axis 1 up to a random length of at least one, then 0. */
  | { readonly kind: "mask" }
  /**
   * Rows along the last axis of special structure by turns, beginning anywhere. Floats: normal, zeros, all equal, tiny,
   * large, signs, small whole numbers. Whole numbers from `low` up to, not including, `high`: any, the least, the
   * greatest, one of them, ascending, the least from a random place on, the greatest from a random place on.
   */
  | { readonly kind: "rows"; readonly low?: number; readonly high?: number };

export interface InputSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly number[];
  /** Default: normal for floats, whole numbers 0 … 31 for i32 and i64, 0 … 127 for i8 and u8, 0 or 1 for bool. */
  readonly fill?: Fill;
}

const defaultFills: Record<DType, Fill> = {
  f64: { kind: "normal" },
  f32: { kind: "normal" },
  f16: { kind: "normal" },
  bf16: { kind: "normal" },
  i64: { kind: "integers", low: 0, high: 32 },
  i32: { kind: "integers", low: 0, high: 32 },
  i8: { kind: "integers", low: 0, high: 128 },
  u8: { kind: "integers", low: 0, high: 128 },
  bool: { kind: "integers", low: 0, high: 2 },
};

const mostElements = 2 ** 28;

/**
 * Random tensors that depend only on `seed` and each input's own name, dtype, dims and fill: adding or reordering
 * inputs changes no other. Throws QKV451 for dims or ranges that make no sense, QKV453 for
 * tensors of more than 2^28 elements.
 */
export function randomInputs(specs: readonly InputSpec[], seed: number): Map<string, HostTensor> {
  if (!Number.isSafeInteger(seed)) fail("QKV451", `seed must be a whole number, not ${seed}`);
  const tensors = new Map<string, HostTensor>();
  for (const spec of specs) {
    if (tensors.has(spec.name)) fail("QKV451", `two inputs are named \`${spec.name}\``);
    tensors.set(spec.name, randomTensor(spec, seed));
  }
  return tensors;
}

function randomTensor({ name, dtype, dims, fill = defaultFills[dtype] }: InputSpec, seed: number): HostTensor {
  const length = elementCount(dims);
  if (dims.some((dim) => !Number.isInteger(dim) || dim < 0) || !Number.isSafeInteger(length))
    fail("QKV451", `input \`${name}\` cannot have dims [${dims.join(", ")}]`);
  const random = generator(seed, name);
  if (length > mostElements)
    fail("QKV453", `input \`${name}\` of dims [${dims.join(", ")}] is too large to be made up`, {
      help: "give smaller sizes with --dims, or the inputs themselves with --inputs",
    });
  return fromNumbers(dtype, dims, filled(name, fill, length, dims.at(-1) ?? 1, random));
}

function filled(name: string, fill: Fill, length: number, row: number, random: () => number): Float64Array {
  if (fill.kind === "normal") return normal(length, fill.mean ?? 0, fill.std ?? 1, random);
  if (fill.kind === "positions") return Float64Array.from({ length }, (_, i) => fill.from + (i % row));
  if (fill.kind === "mask") return paddingMask(length, row, random);
  if (fill.kind === "rows" && (fill.low === undefined || fill.high === undefined))
    return rows(length, row, floatRows, random);
  const { low = 0, high = 0 } = fill;
  if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || high <= low)
    fail("QKV451", `input \`${name}\` cannot be filled with whole numbers from ${low} below ${high}`);
  if (fill.kind === "rows") return rows(length, row, wholeRows(low, high), random);
  return Float64Array.from({ length }, () => low + Math.floor(random() * (high - low)));
}

/** Box–Muller: two uniform values give two independent normal ones. */
function normal(length: number, mean: number, std: number, random: () => number): Float64Array {
  const values = new Float64Array(length);
  for (let i = 0; i < length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    const angle = 2 * Math.PI * random();
    values[i] = mean + std * radius * Math.cos(angle);
    if (i + 1 < length) values[i + 1] = mean + std * radius * Math.sin(angle);
  }
  return values;
}

/** One row: from its length, the element at each place. */
type Row = (random: () => number, length: number) => (at: number) => number;

const gaussian = (random: () => number): number => normal(1, 0, 1, random)[0]!;

const floatRows: readonly Row[] = [
  (random) => () => gaussian(random),
  () => () => 0,
  (random) => {
    const value = gaussian(random);
    return () => value;
  },
  (random) => () => 1e-3 * gaussian(random),
  (random) => () => 8 * gaussian(random),
  (random) => () => (random() < 0.5 ? -1 : 1),
  (random) => () => Math.floor(5 * random()) - 2,
];

function wholeRows(low: number, high: number): readonly Row[] {
  const any = (random: () => number) => low + Math.floor(random() * (high - low));
  const place = (random: () => number, length: number) => Math.floor(random() * (length + 1));
  return [
    (random) => () => any(random),
    () => () => low,
    () => () => high - 1,
    (random) => {
      const value = any(random);
      return () => value;
    },
    () => (at) => low + (at % (high - low)),
    (random, length) => {
      const end = place(random, length);
      return (at) => (at < end ? high - 1 : low);
    },
    (random, length) => {
      const end = place(random, length);
      return (at) => (at < end ? low : high - 1);
    },
  ];
}

function rows(length: number, row: number, kinds: readonly Row[], random: () => number): Float64Array {
  const values = new Float64Array(length);
  let turn = Math.floor(random() * kinds.length);
  for (let start = 0; start < length; start += row) {
    const element = kinds[turn++ % kinds.length]!(random, row);
    for (let at = 0; at < row; at++) values[start + at] = element(at);
  }
  return values;
}

function paddingMask(length: number, row: number, random: () => number): Float64Array {
  const values = new Float64Array(length);
  for (let start = 0; start < length; start += row) {
    const kept = 1 + Math.floor(random() * row);
    values.fill(1, start, start + kept);
  }
  return values;
}

const rotateLeft = (x: number, by: number): number => (x << by) | (x >>> (32 - by));

/** xoshiro128** (Blackman and Vigna, 2018), uniform in [0, 1) with 32 bits. Seeded from `seed` and `name`. */
function generator(seed: number, name: string): () => number {
  let hash = 0x811c9dc5 ^ (seed | 0) ^ Math.imul(Math.floor(seed / 2 ** 32), 0x85ebca6b);
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  const mixed = (): number => {
    hash = (hash + 0x9e3779b9) | 0;
    let x = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return x ^ (x >>> 15);
  };
  let [a, b, c, d] = [mixed(), mixed(), mixed(), mixed() | 1];
  return () => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return (result >>> 0) / 2 ** 32;
  };
}
