import { foldedCost } from "./contraction-cost.ts";
import { type Network, productOf, type Step, wordProduct } from "./contraction-network.ts";

/** Operands up to which the search over all pairwise trees is exhaustive. */
export const exactLimit = 12;

interface Tables {
  readonly size: Float64Array;
  readonly kept: Uint32Array;
  readonly folded: Uint8Array;
  readonly freed: Float64Array;
}

/**
 * The cheapest of all pairwise trees, outer products included: dynamic programming over subsets, 3ⁿ/2 splits. Nothing is
 * pruned by connectivity, so no optimum is lost. Among equals the smaller largest intermediate wins, then fewer bytes
 * written, then the order as written.
 */
export function exactOrder(network: Network): readonly Step[] {
  const { count } = network;
  if (count < 2) return [];
  const full = 2 ** count - 1;
  const tables = subsetTables(network, full);
  const run = new Float64Array(full + 1);
  const work = new Float64Array(full + 1);
  const peak = new Float64Array(full + 1);
  const written = new Float64Array(full + 1);
  const split = new Uint32Array(full + 1);
  for (let set = 1; set <= full; set++) {
    if ((set & (set - 1)) === 0) continue;
    const folded = tables.folded[set] === 1;
    const best = bestSplit(network, tables, set, { cost: folded ? work : run, peak, written });
    split[set] = best.left;
    work[set] = best.cost;
    run[set] = folded ? foldedCost(network, tables.size[set]!, tables.freed[set]!, best.cost) : best.cost;
    peak[set] = folded ? 0 : best.peak;
    written[set] = folded ? 0 : best.written;
  }
  return stepsOf(split, full, count);
}

function subsetTables({ words, masks, result, products, foldable, freed }: Network, full: number): Tables {
  const union = new Uint32Array((full + 1) * words);
  const folded = new Uint8Array(full + 1);
  const freedBytes = new Float64Array(full + 1);
  folded[0] = 1;
  for (let set = 1; set <= full; set++) {
    const lowest = 31 - Math.clz32(set & -set);
    const rest = set & (set - 1);
    for (let word = 0; word < words; word++)
      union[set * words + word] = union[rest * words + word]! | masks[lowest * words + word]!;
    folded[set] = folded[rest]! & foldable[lowest]!;
    freedBytes[set] = freedBytes[rest]! + freed[lowest]!;
  }
  const kept = new Uint32Array((full + 1) * words);
  const size = new Float64Array(full + 1);
  for (let set = 1; set <= full; set++) {
    const outside = full ^ set;
    for (let word = 0; word < words; word++)
      kept[set * words + word] = union[set * words + word]! & (result[word]! | union[outside * words + word]!);
    size[set] = productOf(products, kept, set * words, words);
  }
  return { size, kept, folded, freed: freedBytes };
}

interface Subsets {
  readonly cost: Float64Array;
  readonly peak: Float64Array;
  readonly written: Float64Array;
}

function bestSplit(network: Network, tables: Tables, set: number, parts: Subsets) {
  const { words, products, sumFactor } = network;
  const { kept } = tables;
  const { cost, peak, written } = parts;
  const size = tables.size[set]!;
  const best = { cost: Number.POSITIVE_INFINITY, peak: Number.POSITIVE_INFINITY, written: 0, left: 0 };
  const rest = set ^ (1 << (31 - Math.clz32(set)));
  // The right side always holds the last operand of the set, so each split is seen once, and the one as written first.
  for (let left = rest; left > 0; left = (left - 1) & rest) {
    const right = set ^ left;
    const below = cost[left]! + cost[right]!;
    if (below > best.cost) continue;
    let space = 1;
    for (let word = 0; word < words; word++)
      space *= wordProduct(products, word, kept[left * words + word]! | kept[right * words + word]!);
    const total = below + (space > size ? sumFactor * space : space);
    if (total > best.cost) continue;
    const largest = Math.max(size, peak[left]!, peak[right]!);
    const bytes = size + written[left]! + written[right]!;
    const tie = total === best.cost;
    if (best.left !== 0 && tie && (largest > best.peak || (largest === best.peak && bytes >= best.written))) continue;
    best.cost = total;
    best.peak = largest;
    best.written = bytes;
    best.left = left;
  }
  return best;
}

/** The tree a table of splits describes, as steps: children before parents, left before right. */
function stepsOf(split: Uint32Array, full: number, count: number): readonly Step[] {
  const steps: Step[] = [];
  const done: number[] = [];
  const stack: { set: number; ready: boolean }[] = [{ set: full, ready: false }];
  while (stack.length > 0) {
    const { set, ready } = stack.pop()!;
    const left = split[set]!;
    if (left === 0) done.push(31 - Math.clz32(set));
    else if (!ready) stack.push({ set, ready: true }, { set: set ^ left, ready: false }, { set: left, ready: false });
    else {
      const right = done.pop()!;
      steps.push([done.pop()!, right]);
      done.push(count + steps.length - 1);
    }
  }
  return steps;
}
