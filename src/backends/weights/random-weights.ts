import { createHash } from "node:crypto";
import { isFloat } from "../../ir/dtype.ts";
import { erf } from "../../ir/reference/special.ts";
import { elementCount, fromNumbers, type HostTensor } from "../../ir/tensor.ts";
import { type ParamSpec, unknownTensor, type WeightStore } from "./store.ts";

const rotateLeft = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits));

/**
 * Random 32-bit numbers: xoshiro128** of Blackman and Vigna (2018), its 128-bit state the start of SHA-256 of `seed`
 * and `name`.
 */
export function namedBits(seed: number | bigint, name: string, count: number): Uint32Array {
  const digest = createHash("sha256").update(`${seed}\0${name}`).digest();
  let [a, b, c, d] = [digest.readInt32LE(0), digest.readInt32LE(4), digest.readInt32LE(8), digest.readInt32LE(12)];
  const out = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    out[i] = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
  }
  return out;
}

const levels = 2 ** 16;
let quantiles: Float64Array | undefined;

/** Normal numbers at the middles of 2^16 equally likely intervals: a draw is a table look-up, and ends at ±4.3. */
function normalQuantiles(): Float64Array {
  if (quantiles) return quantiles;
  const table = new Float64Array(levels);
  for (let i = 0; i < levels / 2; i++) {
    const z = normalQuantile((i + 0.5) / levels);
    table[i] = z;
    table[levels - 1 - i] = -z;
  }
  quantiles = table;
  return table;
}

/** The z below which a normal number falls with probability p < 1/2: Newton's method on erfc, from Hastings' start. */
function normalQuantile(p: number): number {
  const t = Math.sqrt(-2 * Math.log(p));
  // Abramowitz & Stegun 26.2.23, right within 4.5e-4.
  let z = -(t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))));
  for (let i = 0; i < 2; i++) {
    const below = (1 + erf(z * Math.SQRT1_2)) / 2;
    z -= (below - p) * Math.sqrt(2 * Math.PI) * Math.exp((z * z) / 2);
  }
  return z;
}

/** Normal numbers, two from the halves of each 32 bits. */
function normals(count: number, deviation: number, bitsFor: (count: number) => Uint32Array): Float32Array {
  const table = normalQuantiles();
  const halves = new Uint16Array(bitsFor(Math.ceil(count / 2)).buffer, 0, count);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) out[i] = deviation * table[halves[i]!]!;
  return out;
}

function draw(param: ParamSpec, seed: number | bigint): HostTensor {
  const { name, dtype, dims, init } = param;
  const count = elementCount(dims);
  const bitsFor = (needed: number) => namedBits(seed, name, needed);
  const fanLast = dims.at(-1) ?? 1;
  if (init === "ones") return fromNumbers(dtype, dims, new Float32Array(count).fill(1));
  if (init === "zeros" || !isFloat(dtype)) return fromNumbers(dtype, dims, new Float32Array(count));
  if (init !== "xavier") {
    const deviation = init === "normal" ? 0.02 : 1 / Math.sqrt(fanLast || 1);
    return fromNumbers(dtype, dims, normals(count, deviation, bitsFor));
  }
  const bound = Math.sqrt(6 / (fanLast + (dims.at(-2) ?? fanLast)));
  return fromNumbers(
    dtype,
    dims,
    Float64Array.from(bitsFor(count), (bits) => bound * (bits * 2 ** -31 - 1)),
  );
}

/**
 * Weights made up from `seed`: each tensor depends on the seed, its own name and its own spec, never on the others.
 * `init` "normal" is N(0, 0.02²); "xavier" is uniform in ±sqrt(6 / (m + n)) over the last two dims m and n (Glorot and
 * Bengio 2010); "zeros"; "ones"; anything else, or none, is N(0, 1/n) with n the last dim. Integer and bool tensors are
 * zero unless "ones". Nothing is kept: each read draws the same values again.
 */
export function randomWeights(params: readonly ParamSpec[], seed: number | bigint): WeightStore {
  const source = `random weights (seed ${seed})`;
  const specs = new Map(params.map((param) => [param.name, param]));
  const find = (name: string): ParamSpec => specs.get(name) ?? unknownTensor(name, source, specs.keys());
  return {
    source,
    names: () => [...specs.keys()],
    has: (name) => specs.has(name),
    describe: find,
    read: (name) => draw(find(name), seed),
  };
}
