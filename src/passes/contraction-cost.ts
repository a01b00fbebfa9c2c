import { flopsPerByte, foldWorkLimit, type Network, productOf, type Step } from "./contraction-network.ts";

/** What an order costs. */
export interface OrderCost {
  /** What the search minimises: operations of the run, plus the price of bytes that folded weights gain. */
  readonly cost: number;
  /** Operations at run time in the problem's measure, sums within single operands included. */
  readonly operations: number;
  /** Operations done ahead of time, on weights alone. */
  readonly foldedOperations: number;
  /** Elements of the largest intermediate of the run; the result counts. */
  readonly peak: number;
  /** Elements of all intermediates of the run together; the result counts. */
  readonly written: number;
}

/**
 * What a product of weights costs the run: the bytes by which it outgrows its operands at `flopsPerByte`; all its work
 * where it outgrows them too far, or takes too long, to be computed ahead.
 */
export function foldedCost(network: Network, size: number, freed: number, work: number): number {
  const growth = Math.max(0, size * network.elementBytes - freed);
  return growth > network.foldLimit || work > foldWorkLimit ? work : flopsPerByte * growth;
}

/** What `steps` cost on a network. */
export function networkCost(network: Network, steps: readonly Step[]): OrderCost {
  const { count, words, products, sumFactor } = network;
  const total = count + steps.length;
  const masks = new Uint32Array(total * words);
  masks.set(network.masks);
  const keep = laterLabels(network, steps);
  const folded = new Uint8Array(total);
  folded.set(network.foldable);
  const freed = new Float64Array(total);
  freed.set(network.freed);
  const work = new Float64Array(total);
  const sums = { growth: 0, operations: network.reductions, folded: 0, peak: 0, written: 0 };
  const price = (operand: number) => {
    if (folded[operand] !== 1 || operand < count) return;
    const size = productOf(products, masks, operand * words, words);
    const cost = foldedCost(network, size, freed[operand]!, work[operand]!);
    if (cost === work[operand]) sums.operations += cost;
    else {
      sums.growth += cost;
      sums.folded += work[operand]!;
    }
  };
  steps.forEach(([left, right], i) => {
    const at = count + i;
    for (let word = 0; word < words; word++)
      masks[at * words + word] = masks[left * words + word]! | masks[right * words + word]!;
    const space = productOf(products, masks, at * words, words);
    for (let word = 0; word < words; word++) masks[at * words + word]! &= keep[at * words + word]!;
    const size = productOf(products, masks, at * words, words);
    const operations = space > size ? sumFactor * space : space;
    freed[at] = freed[left]! + freed[right]!;
    if (folded[left] === 1 && folded[right] === 1) {
      folded[at] = 1;
      work[at] = work[left]! + work[right]! + operations;
      return;
    }
    price(left);
    price(right);
    sums.operations += operations;
    sums.peak = Math.max(sums.peak, size);
    sums.written += size;
  });
  price(total - 1);
  const { operations, folded: foldedOperations, peak, written } = sums;
  return { cost: operations + sums.growth, operations, foldedOperations, peak, written };
}

/** For each step, the labels its result keeps: those of the result, and those of anything that is used later. */
function laterLabels({ count, words, masks, result }: Network, steps: readonly Step[]): Uint32Array {
  const total = count + steps.length;
  const union = new Uint32Array(total * words);
  union.set(masks);
  steps.forEach(([left, right], i) => {
    for (let word = 0; word < words; word++)
      union[(count + i) * words + word] = union[left * words + word]! | union[right * words + word]!;
  });
  const keep = new Uint32Array(total * words);
  keep.set(result, (total - 1) * words);
  for (let i = steps.length - 1; i >= 0; i--) {
    const [left, right] = steps[i]!;
    for (let word = 0; word < words; word++) {
      const above = keep[(count + i) * words + word]!;
      keep[left * words + word] = above | union[right * words + word]!;
      keep[right * words + word] = above | union[left * words + word]!;
    }
  }
  return keep;
}
