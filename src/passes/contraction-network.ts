import type { ContractionSpec } from "../ir/contraction.ts";
import { invariant } from "../ir/diagnostics.ts";

/**
 * One pairwise step: the positions of its two sides. Operands are numbered as written; the result of step `i` is
 * number `operands + i`.
 */
export type Step = readonly [left: number, right: number];

/** A contraction with numbers: what the search for its cheapest order needs to know. */
export interface OrderProblem {
  readonly spec: ContractionSpec;
  /** Size of each label, at least 1. */
  readonly sizes: ReadonlyMap<string, number>;
  /** For each operand, whether it is known before the run (weights, constants). Left out: none is. */
  readonly foldable?: readonly boolean[];
  /** For each operand, the bytes that are no longer kept once it is folded into another. Left out: all its bytes. */
  readonly freedBytes?: readonly number[];
  /** Bytes of one element; 4 where left out. */
  readonly elementBytes?: number;
  /** Bytes a folded result may outgrow its operands by; above, it counts as work of the run. 1 MiB where left out. */
  readonly foldLimitBytes?: number;
  /** What counts: multiplications and additions, or only multiplications. `flops` where left out. */
  readonly measure?: Measure;
}

/**
 * How a pairwise step over labels of sizes s₁…sₙ is counted. `flops`: 2·Πs where a label is summed, else Πs (a multiply
 * and an add per element of the iteration space). `multiplies`: Πs always. Both are the conventions of the field.
 */
export type Measure = "flops" | "multiplies";

/**
 * A contraction in bit masks. Labels of size 1 are gone, labels no order can tell apart (same operands, same place in
 * or out of the result) are one, and labels that one operand alone has and the result lacks are summed already.
 */
export interface Network {
  readonly count: number;
  /** 32-bit words per mask. */
  readonly words: number;
  /** `words` per operand. */
  readonly masks: Uint32Array;
  readonly result: Uint32Array;
  /** Products of sizes by byte of a mask: entry `256·(byte position) + byte`. */
  readonly products: Float64Array;
  readonly foldable: Uint8Array;
  readonly freed: Float64Array;
  readonly elementBytes: number;
  readonly foldLimit: number;
  readonly sumFactor: 1 | 2;
  /** Cost of the sums within single operands, the same in every order. */
  readonly reductions: number;
}

/**
 * FLOPs a machine does in the time it reads one byte of weights: the price of a byte by which a product folded ahead
 * outgrows its operands. A folded weight that is no larger than what it replaces is free.
 */
export const flopsPerByte = 8;

/** FLOPs above which a product of weights is no longer worth computing ahead of time. */
export const foldWorkLimit = 1e12;

const defaultFoldLimit = 2 ** 20;

/** Bit masks of a problem. Sizes below 1 count as 1. Throws QKV901 where a label has no size. */
export function networkOf(problem: OrderProblem): Network {
  const { spec, sizes } = problem;
  const places = labelPlaces(spec);
  const groups = new Map<string, { size: number; operands: readonly number[]; inResult: boolean }>();
  const reduced = new Array<number>(spec.operands.length).fill(1);
  for (const [label, { operands, inResult }] of places) {
    const size = sizes.get(label);
    invariant(size !== undefined, `the label "${label}" has no size`);
    if (size <= 1) continue;
    if (operands.length === 1 && !inResult) {
      reduced[operands[0]!]! *= size;
      continue;
    }
    const key = `${operands.join(",")}${inResult ? ">" : ""}`;
    const group = groups.get(key);
    if (group) group.size *= size;
    else groups.set(key, { size, operands, inResult });
  }
  return assemble(problem, [...groups.values()], reduced);
}

function labelPlaces(spec: ContractionSpec) {
  const places = new Map<string, { operands: number[]; inResult: boolean }>();
  spec.operands.forEach((labels, operand) => {
    for (const label of labels) {
      const place = places.get(label);
      if (!place) places.set(label, { operands: [operand], inResult: false });
      else if (place.operands.at(-1) !== operand) place.operands.push(operand);
    }
  });
  for (const label of spec.result) places.get(label)!.inResult = true;
  return places;
}

function assemble(
  problem: OrderProblem,
  groups: readonly { size: number; operands: readonly number[]; inResult: boolean }[],
  reduced: readonly number[],
): Network {
  const count = problem.spec.operands.length;
  const words = Math.max(1, Math.ceil(groups.length / 32));
  const masks = new Uint32Array(count * words);
  const result = new Uint32Array(words);
  const products = new Float64Array(words * 4 * 256).fill(1);
  groups.forEach(({ size, operands, inResult }, bit) => {
    const word = bit >>> 5;
    const flag = 1 << (bit & 31);
    for (const operand of operands) masks[operand * words + word]! |= flag;
    if (inResult) result[word]! |= flag;
    const table = (bit >>> 3) * 256;
    const lowest = 1 << (bit & 7);
    // Bits of a byte come in rising order: the entries below this bit are final.
    for (let byte = 0; byte < lowest; byte++) products[table + lowest + byte] = products[table + byte]! * size;
  });
  const foldable = Uint8Array.from({ length: count }, (_, i) => (problem.foldable?.[i] ? 1 : 0));
  const elementBytes = problem.elementBytes ?? 4;
  let reductions = 0;
  const freed = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const whole = productOf(products, masks, i * words, words) * reduced[i]!;
    if (reduced[i]! > 1 && !foldable[i]) reductions += whole;
    freed[i] = problem.freedBytes?.[i] ?? whole * elementBytes;
  }
  return {
    count,
    words,
    masks,
    result,
    products,
    foldable,
    freed,
    elementBytes,
    foldLimit: problem.foldLimitBytes ?? defaultFoldLimit,
    sumFactor: problem.measure === "multiplies" ? 1 : 2,
    reductions,
  };
}

/** Product of the sizes of the labels in the mask at `at`. */
export function productOf(products: Float64Array, masks: Uint32Array, at: number, words: number): number {
  let value = 1;
  for (let word = 0; word < words; word++) value *= wordProduct(products, word, masks[at + word]!);
  return value;
}

/** Product of the sizes of the labels in one 32-bit word of a mask. */
export function wordProduct(products: Float64Array, word: number, bits: number): number {
  const table = word * 1024;
  return (
    products[table + (bits & 255)]! *
    products[table + 256 + ((bits >>> 8) & 255)]! *
    products[table + 512 + ((bits >>> 16) & 255)]! *
    products[table + 768 + (bits >>> 24)]!
  );
}
