import { createHash } from "node:crypto";
import { isFloat } from "../../ir/dtype.ts";
import { elementCount, fromNumbers, type HostTensor } from "../../ir/tensor.ts";
import { type ParamSpec, unknownTensor, type WeightStore } from "./store.ts";

/** Uniform numbers in [0, 1), 2^-32 apart. */
export type Uniform = () => number;

const rotateLeft = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits));

/** xoshiro128** of Blackman and Vigna (2018), its 128-bit state the start of SHA-256 of `seed` and `name`. */
export function namedGenerator(seed: number | bigint, name: string): Uniform {
  const digest = createHash("sha256").update(`${seed}\0${name}`).digest();
  let [a, b, c, d] = [digest.readInt32LE(0), digest.readInt32LE(4), digest.readInt32LE(8), digest.readInt32LE(12)];
  return () => {
    const out = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return (out >>> 0) * 2 ** -32;
  };
}

/** Box-Muller: sqrt(-2 ln u) cos(2 pi v) and its sine twin, two normals from two uniforms. */
function fillNormal(out: Float64Array, next: Uniform, deviation: number): void {
  for (let i = 0; i < out.length; i += 2) {
    // 1 - u is in (0, 1], where the logarithm is finite.
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - next()));
    const angle = 2 * Math.PI * next();
    out[i] = radius * Math.cos(angle);
    if (i + 1 < out.length) out[i + 1] = radius * Math.sin(angle);
  }
}

function draw(param: ParamSpec, seed: number | bigint): HostTensor {
  const { name, dtype, dims, init } = param;
  const values = new Float64Array(elementCount(dims));
  const fanLast = dims.at(-1) ?? 1;
  if (init === "ones") values.fill(1);
  else if (init !== "zeros" && isFloat(dtype)) {
    const next = namedGenerator(seed, name);
    if (init === "xavier") {
      const bound = Math.sqrt(6 / (fanLast + (dims.at(-2) ?? fanLast)));
      for (let i = 0; i < values.length; i++) values[i] = bound * (2 * next() - 1);
    } else fillNormal(values, next, init === "normal" ? 0.02 : 1 / Math.sqrt(fanLast || 1));
  }
  return fromNumbers(dtype, dims, values);
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
